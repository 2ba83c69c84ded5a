//! Whether a packet that reaches this host can bear a destination address that a rule names.
//!
//! Container engines drop packets to addresses behind their bridges in chains that every packet walks. Without the
//! addresses of this host such a rule could mean anything; with them it is known to mean somebody else.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use super::address::{Cover, cover, net_of};
use super::packet::{Answer, Family};

/// Compares the addresses of this host with what stands on the right of a match. Not knowing any, or not understanding
/// the value, gives `Maybe`.
pub fn target_in(addresses: &[IpAddr], family: Family, right: &Value) -> Answer {
    let own: Vec<IpNet> = addresses
        .iter()
        .filter(|a| a.is_ipv4() == (family == Family::V4))
        .map(|a| IpNet::from(*a))
        .collect();
    if own.is_empty() {
        return Answer::Maybe;
    }
    match cover(&own, &[right]) {
        Cover::All => Answer::Yes,
        Cover::None => Answer::No,
        Cover::Some | Cover::Unknown => Answer::Maybe,
    }
}

/// Whether a rule takes away what comes to an address of one link by any other link, such as those that wg-quick makes:
/// `iifname != "wg0" ip daddr 10.0.0.1 fib saddr type != local drop`. Whoever comes by the right way is not meant.
pub fn guards_one_address(expressions: &[Value]) -> bool {
    let of = |condition: &Value, kind: &str, name: &str| -> Option<Value> {
        condition.get("left")?.get(kind)?.get(name).cloned()
    };
    let text = |condition: &Value, key: &str| condition.get(key).and_then(Value::as_str).map(str::to_owned);
    let other_link = |c: &Value| {
        let key = of(c, "meta", "key");
        key.is_some_and(|key| key == "iif" || key == "iifname") && text(c, "op").as_deref() == Some("!=")
    };
    let one_address = |c: &Value| {
        let one = |net: IpNet| net.prefix_len() == net.max_prefix_len();
        let address = c.get("right").and_then(net_of).filter(|net| one(*net));
        address.is_some() && of(c, "payload", "field").is_some_and(|field| field == "daddr")
    };
    let by_source =
        |c: &Value| of(c, "fib", "flags").is_some_and(|flags| flags.to_string().contains("saddr"));
    let conditions = || expressions.iter().filter_map(|e| e.get("match"));
    conditions().any(other_link) && conditions().any(one_address) && conditions().any(by_source)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn hosts(list: &[&str]) -> Vec<IpAddr> {
        list.iter().map(|a| a.parse().expect("an address")).collect()
    }

    #[test]
    fn addresses_of_others_never_match_and_the_only_own_one_always_does() {
        let one = hosts(&["203.0.113.20", "2001:db8::20"]);
        let two = hosts(&["203.0.113.20", "203.0.113.21"]);
        for (addresses, family, right, expected) in [
            (&one, Family::V4, json!("172.17.0.2"), Answer::No),
            (&one, Family::V4, json!("203.0.113.20"), Answer::Yes),
            (&two, Family::V4, json!("203.0.113.20"), Answer::Maybe),
            (
                &two,
                Family::V4,
                json!({"prefix": {"addr": "203.0.113.0", "len": 24}}),
                Answer::Yes,
            ),
            (
                &one,
                Family::V4,
                json!({"range": ["10.0.0.1", "10.0.0.9"]}),
                Answer::No,
            ),
            (
                &one,
                Family::V6,
                json!({"prefix": {"addr": "fd00::", "len": 8}}),
                Answer::No,
            ),
            (&two, Family::V6, json!("2001:db8::20"), Answer::Maybe),
            (&one, Family::V4, json!({"what": "is this"}), Answer::Maybe),
            (&Vec::new(), Family::V4, json!("172.17.0.2"), Answer::Maybe),
        ] {
            assert_eq!(
                target_in(addresses, family, &right),
                expected,
                "{addresses:?} {right}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_value_makes_it_panic(text in ".{0,30}", length in any::<u64>()) {
            let own = hosts(&["203.0.113.20"]);
            let _ = target_in(&own, Family::V4, &json!(text));
            let _ = target_in(&own, Family::V4, &json!({"prefix": {"addr": text, "len": length}}));
            let _ = target_in(&own, Family::V4, &json!({"range": [text, length]}));
        }
    }
}
