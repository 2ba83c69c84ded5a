//! What is known of an ordinary newcomer's packet, field by field.

use serde_json::Value;

use super::{Family, Kind, Packet};
use crate::port::Protocol;

/// What is known of the thing on the left of a match.
pub(super) enum Known {
    /// A word, such as `new`, `tcp`, `local`.
    Word(&'static str),
    /// A number.
    Number(u64),
    /// The port that the kernel gave to a client on this host: none of those below 1024.
    Ephemeral,
    /// Some of these flags are set, all others are not.
    Flags(&'static [&'static str]),
    /// The address of the far end.
    Peer,
    /// The multicast group.
    Group,
    /// An address of this host.
    Target,
    /// The packet has no such field, so the match cannot hold, unless it asks for just that.
    Absent,
    /// The way back to the sender is there.
    Present,
    /// The link that the stranger's packets pass.
    Link,
    /// Not known.
    Unknown,
}

impl Packet<'_> {
    pub(super) fn transport(self) -> &'static str {
        match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        }
    }

    pub(super) fn comes_in(self) -> bool {
        (self.kind == Kind::Opening) != self.outbound
    }

    fn payload(self, protocol: &str, field: &str) -> Known {
        match (protocol, field) {
            ("tcp" | "udp" | "th", _) if protocol != "th" && protocol != self.transport() => Known::Absent,
            ("tcp" | "udp" | "th", "dport") if self.kind == Kind::Opening => Known::Number(self.port.into()),
            ("tcp" | "udp" | "th", "sport") if self.kind == Kind::Reply => Known::Number(self.port.into()),
            ("tcp" | "udp" | "th", "dport" | "sport") if self.outbound => Known::Ephemeral,
            ("tcp", "flags") if self.later => Known::Flags(&["ack"]),
            ("tcp", "flags") if self.kind == Kind::Opening => Known::Flags(&["syn"]),
            ("tcp", "flags") => Known::Flags(&["syn", "ack"]),
            ("ip", _) if self.family == Family::V6 => Known::Absent,
            ("ip6", _) if self.family == Family::V4 => Known::Absent,
            ("ip", "protocol") | ("ip6", "nexthdr") => Known::Word(self.transport()),
            ("ip" | "ip6", "daddr") if self.group.is_some() && self.kind == Kind::Opening => Known::Group,
            ("ip" | "ip6", "saddr") if self.comes_in() => Known::Peer,
            ("ip" | "ip6", "daddr") if !self.comes_in() => Known::Peer,
            ("ip" | "ip6", "saddr" | "daddr") => Known::Target,
            // A whole packet: not a part of a longer one.
            ("ip", "frag-off") => Known::Number(0),
            // Without options.
            ("ip", "hdrlength") => Known::Number(5),
            ("ether", "type") => Known::Word(if self.family == Family::V4 { "ip" } else { "ip6" }),
            ("ip", "version") => Known::Number(4),
            ("ip6", "version") => Known::Number(6),
            ("icmp" | "icmpv6" | "igmp" | "sctp" | "dccp" | "udplite" | "ah" | "esp" | "comp" | "arp", _) => {
                Known::Absent
            }
            _ => Known::Unknown,
        }
    }

    fn meta(self, key: &str) -> Known {
        match key {
            "l4proto" => Known::Word(self.transport()),
            "nfproto" => Known::Word(if self.family == Family::V4 { "ipv4" } else { "ipv6" }),
            "protocol" => Known::Word(if self.family == Family::V4 { "ip" } else { "ip6" }),
            "pkttype" if self.group.is_some() => Known::Word("multicast"),
            "pkttype" if self.comes_in() => Known::Word("host"),
            // The stranger is never on this host: a rule for the loopback interface is not for him.
            "iif" | "iifname" if self.comes_in() => Known::Link,
            "oif" | "oifname" if !self.comes_in() => Known::Link,
            _ => Known::Unknown,
        }
    }

    fn conntrack(self, key: &str) -> Known {
        match (key, self.kind) {
            ("state", Kind::Opening) if !self.later => Known::Word("new"),
            ("state", _) => Known::Word("established"),
            ("direction", Kind::Opening) => Known::Word("original"),
            ("direction", Kind::Reply) => Known::Word("reply"),
            ("status", Kind::Opening) if !self.later => Known::Flags(&[]),
            _ => Known::Unknown,
        }
    }

    /// What stands on the left of a match, for this packet.
    pub(super) fn known(self, left: &Value) -> Known {
        if let Some(payload) = left.get("payload") {
            let field = |name: &str| payload.get(name).and_then(Value::as_str).unwrap_or_default();
            return self.payload(field("protocol"), field("field"));
        }
        if let Some(meta) = left.get("meta") {
            return self.meta(meta.get("key").and_then(Value::as_str).unwrap_or_default());
        }
        if let Some(ct) = left.get("ct") {
            let key = ct.get("key").and_then(Value::as_str).unwrap_or_default();
            return if ct.get("dir").is_some() {
                Known::Unknown
            } else {
                self.conntrack(key)
            };
        }
        if let Some(fib) = left.get("fib") {
            return self.fib(fib);
        }
        if left.get("exthdr").is_some() {
            return Known::Absent;
        }
        Known::Unknown
    }

    fn fib(self, fib: &Value) -> Known {
        let about = |what: &str| match fib.get("flags") {
            Some(Value::Array(flags)) => flags.iter().any(|f| f.as_str() == Some(what)),
            Some(Value::String(flag)) => flag == what,
            _ => false,
        };
        let result = fib.get("result").and_then(Value::as_str).unwrap_or_default();
        match (result, self.comes_in()) {
            ("type", _) if about("daddr") && self.group.is_some() => Known::Word("multicast"),
            ("type", true) if about("daddr") => Known::Word("local"),
            ("type", false) if about("saddr") => Known::Word("local"),
            ("type", true) if about("saddr") => Known::Word("unicast"),
            // Answers leave by the link that the question came in by.
            ("oif" | "check", true) if about("saddr") && about("iif") => Known::Present,
            _ => Known::Unknown,
        }
    }
}
