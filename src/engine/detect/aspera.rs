//! An installed Aspera product.

use crate::facts::AsperaFacts;
use crate::system::System;

/// Looks for a product.
pub fn product(_system: &dyn System) -> Option<AsperaFacts> {
    None
}
