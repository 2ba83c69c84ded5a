//! The pages. A new one is a file here and a line in [`all`].

use super::wizard::Pages;

/// Every page, with its state as at the start.
pub fn all() -> Pages {
    vec![]
}
