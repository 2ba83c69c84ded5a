//! Protocols, directions and port ranges: the vocabulary every other layer speaks.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Transport protocol of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP
    Tcp,
    /// UDP
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// Direction of a connection, seen from the host that the rule is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Towards this host.
    In,
    /// Away from this host.
    Out,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::In => "in",
            Self::Out => "out",
        })
    }
}

/// An inclusive range of ports, `1 <= first <= last <= 65535`; a single port has `first == last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PortRange {
    first: u16,
    last: u16,
}

/// Why a text is not a port or a range of ports.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// Not a decimal number from 1 to 65535.
    #[error("{0:?} is not a port: a number from 1 to 65535 is wanted")]
    NotAPort(String),
    /// The first port is above the last.
    #[error("the range {first}-{last} is inverted: the lower port comes first")]
    Inverted {
        /// What stands before the dash.
        first: u16,
        /// What stands after it.
        last: u16,
    },
}

impl PortRange {
    /// One port. Zero is not a port.
    pub fn single(port: u16) -> Result<Self, PortError> {
        Self::new(port, port)
    }

    /// A range. Errors: port 0, or `first > last`.
    pub fn new(first: u16, last: u16) -> Result<Self, PortError> {
        if first == 0 || last == 0 {
            return Err(PortError::NotAPort("0".into()));
        }
        if first > last {
            return Err(PortError::Inverted { first, last });
        }
        Ok(Self { first, last })
    }

    /// The lowest port.
    pub fn first(self) -> u16 {
        self.first
    }

    /// The highest port.
    pub fn last(self) -> u16 {
        self.last
    }

    /// How many ports the range holds.
    pub fn count(self) -> u32 {
        u32::from(self.last) - u32::from(self.first) + 1
    }

    /// Whether `port` lies in the range.
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }

    /// Whether the two ranges share a port.
    pub fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

impl FromStr for PortRange {
    type Err = PortError;

    fn from_str(text: &str) -> Result<Self, PortError> {
        match text.split_once('-') {
            Some((first, last)) => Self::new(parse_port(first.trim())?, parse_port(last.trim())?),
            None => Self::single(parse_port(text.trim())?),
        }
    }
}

impl TryFrom<String> for PortRange {
    type Error = PortError;

    fn try_from(text: String) -> Result<Self, PortError> {
        text.parse()
    }
}

impl From<PortRange> for String {
    fn from(range: PortRange) -> Self {
        range.to_string()
    }
}

/// Reads one port. Signs, blanks, leading `+` and zero are refused: what an operator types is taken to the letter.
pub fn parse_port(text: &str) -> Result<u16, PortError> {
    let digits = !text.is_empty() && text.len() <= 5 && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse::<u16>() {
        Ok(port) if digits && port > 0 => Ok(port),
        _ => Err(PortError::NotAPort(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_single_port_and_a_range_are_read() {
        assert_eq!("33001".parse::<PortRange>().expect("valid").to_string(), "33001");
        assert_eq!("33001-33100".parse::<PortRange>().expect("valid").count(), 100);
    }

    #[test]
    fn what_is_no_port_is_refused() {
        for text in [
            "", "0", "65536", "+22", " ", "22x", "-1", "1-", "-", "0-5", "000022", "２２",
        ] {
            assert!(text.parse::<PortRange>().is_err(), "{text:?}");
        }
        assert_eq!(
            "9-3".parse::<PortRange>(),
            Err(PortError::Inverted { first: 9, last: 3 })
        );
    }

    proptest! {
        #[test]
        fn printing_and_reading_are_inverse(a in 1u16.., b in 1u16..) {
            let range = PortRange::new(a.min(b), a.max(b)).expect("ordered");
            prop_assert_eq!(range.to_string().parse::<PortRange>(), Ok(range));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in ".{0,12}") {
            let _ = text.parse::<PortRange>();
        }
    }
}
