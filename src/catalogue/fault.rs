//! What can be wrong with a catalogue, and what would be right.

use std::fmt;

use ipnet::IpNet;

use crate::document::{Problem, Shape};
use crate::port::{PortError, Protocol};

/// What can be wrong with a catalogue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The form.
    #[error(transparent)]
    Shape(#[from] Shape),
    /// A format of another version.
    #[error("schema {0} is not known; this program reads schema = 1")]
    Schema(i64),
    /// A port that is none.
    #[error("ports: {0}, such as \"33001\" or \"33001-33100\"")]
    Ports(#[from] PortError),
    /// An id with other characters.
    #[error("{0:?} is no id; use small letters, digits and dashes, such as \"connect-server\"")]
    Id(String),
    /// Something is there twice.
    #[error("{what} {name:?} is there twice; give each a name of its own")]
    Twice {
        /// `the role`, `the name`, `the need`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A reference to something that is not there.
    #[error("there is no [{table}.{name}]; {hint}")]
    Unknown {
        /// `need` or `source`.
        table: &'static str,
        /// The name as written.
        name: String,
        /// What was probably meant.
        hint: String,
    },
    /// A definition that nothing refers to.
    #[error("[{table}.{name}] is used by no role; name it in one, or take it out")]
    Unused {
        /// `need`.
        table: &'static str,
        /// Its name.
        name: String,
    },
    /// No network.
    #[error(
        "{0:?} is no network; write an address with its length and without host bits, such as \"192.0.2.0/24\""
    )]
    Network(String),
    /// A group that is no IPv4 multicast network.
    #[error("{0} is no IPv4 multicast network; it must lie within 224.0.0.0/4")]
    Group(IpNet),
    /// A port answer that is of another protocol.
    #[error("answer {answer:?} gives a {gives} port, but the need is {is}; make them agree")]
    Protocol {
        /// The answer.
        answer: &'static str,
        /// Its protocol.
        gives: Protocol,
        /// The need's.
        is: Protocol,
    },
    /// A loopback port that an answer or another direction would open.
    #[error("a loopback port is inbound and fixed; write   direction = \"in\"   and   answer = \"fixed\"")]
    Loopback,
    /// No role at all.
    #[error("there is no [[role]]; a catalogue needs at least one")]
    Empty,
}

/// Every mistake of a catalogue, a line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogueError {
    /// The mistakes, in the order of the file.
    pub problems: Vec<Problem<Fault>>,
}

impl fmt::Display for CatalogueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.problems.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for CatalogueError {}
