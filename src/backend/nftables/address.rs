//! Addresses as nft prints them, and whether they hold all, some or none of a network.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

/// How much of the networks some values hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cover {
    /// All of it.
    All,
    /// A part.
    Some,
    /// Nothing.
    None,
    /// A value is not understood.
    Unknown,
}

/// First and last address as numbers, with the family.
type Span = (bool, u128, u128);

fn number(address: IpAddr) -> (bool, u128) {
    match address {
        IpAddr::V4(a) => (true, u128::from(u32::from(a))),
        IpAddr::V6(a) => (false, u128::from(a)),
    }
}

fn of_net(net: IpNet) -> Span {
    let (v4, low) = number(net.network());
    (v4, low, number(net.broadcast()).1)
}

/// `10.0.0.1`, `{"prefix": {"addr": .., "len": ..}}` or `{"range": [.., ..]}`.
fn span(value: &Value) -> Option<Span> {
    let address = |value: &Value| value.as_str()?.parse::<IpAddr>().ok();
    if value.get("prefix").is_some() {
        return net_of(value).map(of_net);
    }
    if let Some([low, high]) = value.get("range").and_then(Value::as_array).map(Vec::as_slice) {
        let ((v4, low), (_, high)) = (number(address(low)?), number(address(high)?));
        return Some((v4, low, high));
    }
    let (v4, one) = number(address(value)?);
    Some((v4, one, one))
}

/// The network that a value stands for; `None` for a range.
pub fn net_of(value: &Value) -> Option<IpNet> {
    let value = value
        .get("elem")
        .and_then(|elem| elem.get("val"))
        .unwrap_or(value);
    let address = |value: &Value| value.as_str()?.parse::<IpAddr>().ok();
    match value.get("prefix") {
        Some(prefix) => {
            let length = u8::try_from(prefix.get("len")?.as_u64()?).ok()?;
            Some(IpNet::new(address(prefix.get("addr")?)?, length).ok()?.trunc())
        }
        None => address(value).map(IpNet::from),
    }
}

/// How much of `nets` (at least one) the values hold together.
pub fn cover(nets: &[IpNet], values: &[&Value]) -> Cover {
    let Some(mut spans) = values.iter().map(|v| span(v)).collect::<Option<Vec<Span>>>() else {
        return Cover::Unknown;
    };
    spans.sort_unstable();
    let (mut all, mut some) = (true, false);
    for net in nets {
        let (v4, low, high) = of_net(*net);
        // The first address of the net that no value has held so far; `None` when there is none left.
        let mut missing = Some(low);
        for (_, from, to) in spans.iter().filter(|(family, ..)| *family == v4) {
            some |= *from <= high && *to >= low;
            if let Some(at) = missing
                && *from <= at
                && *to >= at
            {
                missing = to.checked_add(1).filter(|next| *next <= high);
            }
        }
        all &= missing.is_none();
    }
    match (all, some) {
        (true, _) => Cover::All,
        (false, true) => Cover::Some,
        (false, false) => Cover::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn networks_are_held_in_whole_in_part_or_not_at_all() {
        let nets: Vec<IpNet> = vec!["10.0.0.0/8".parse().expect("a network")];
        let held = |values: &[Value]| cover(&nets, &values.iter().collect::<Vec<_>>());
        let prefix = |addr: &str, len: u8| json!({"prefix": {"addr": addr, "len": len}});
        assert_eq!(held(&[prefix("10.0.0.0", 8)]), Cover::All);
        assert_eq!(held(&[prefix("0.0.0.0", 0)]), Cover::All);
        assert_eq!(
            held(&[prefix("10.128.0.0", 9), prefix("10.0.0.0", 9)]),
            Cover::All
        );
        assert_eq!(held(&[json!({"range": ["9.0.0.0", "11.0.0.0"]})]), Cover::All);
        assert_eq!(held(&[json!("10.1.2.3")]), Cover::Some);
        assert_eq!(held(&[prefix("192.168.0.0", 16)]), Cover::None);
        assert_eq!(held(&[json!("::1")]), Cover::None);
        assert_eq!(held(&[json!({"symbol": "x"})]), Cover::Unknown);
    }
}
