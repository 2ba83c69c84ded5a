//! Builds the copy's network: one cable for each interface, and the addresses at both ends.

use std::fmt::Write;
use std::path::Path;

use super::FAR;
use super::cast::Cast;
use crate::step::{Invocation, Tool};
use crate::system::{System, SystemError};

/// The fourth byte of hardware addresses on the host's side.
const NEAR_SIDE: u8 = 1;
/// The same on the far side.
const FAR_SIDE: u8 = 2;

/// Builds it; answers of the kernel come at once and as often as they are wanted.
pub fn build(system: &dyn System, cast: &Cast) -> Result<(), SystemError> {
    system.run_ok(&Invocation::new(Tool::Ip, ["netns", "add", FAR]))?;
    system.run_ok(&Invocation::new(Tool::Ip, ["-batch", "-"]).with_stdin(near(cast)))?;
    system.run_ok(&Invocation::new(Tool::Ip, ["-n", FAR, "-batch", "-"]).with_stdin(far(cast)))?;
    // A refusal is an answer here, and every one of them counts: they must not be thinned out.
    for path in ["net/ipv4/icmp_ratelimit", "net/ipv6/icmp/ratelimit"] {
        drop(system.tune(&Path::new("/proc/sys").join(path), "0"));
    }
    Ok(())
}

/// Copies the host's settings; one that the copy does not have makes no difference there.
pub fn tune(system: &dyn System, settings: &[(String, String)]) {
    for (path, value) in settings {
        drop(system.tune(&Path::new("/proc/sys").join(path), value));
    }
}

/// For `ip -batch` on the host's side.
fn near(cast: &Cast) -> String {
    let mut text = String::from("link set lo up\n");
    for (number, device) in cast.devices.iter().enumerate() {
        let name = &device.name;
        let _ = writeln!(
            text,
            "link add {name} address {} type veth peer name far{number} address {} netns {FAR}",
            hardware(NEAR_SIDE, number),
            hardware(FAR_SIDE, number)
        );
        for net in &device.addresses {
            let nodad = if net.addr().is_ipv6() { " nodad" } else { "" };
            let _ = writeln!(text, "address add {net} dev {name}{nodad}");
        }
        let _ = writeln!(text, "link set {name} up");
    }
    if cast.devices.iter().any(|device| device.name == cast.front) {
        let front = &cast.front;
        let _ = writeln!(
            text,
            "route replace 0.0.0.0/0 dev {front}\nroute replace ::/0 dev {front}"
        );
    }
    for far in &cast.far {
        let (address, device) = (far.address, &far.device);
        let _ = writeln!(text, "route replace {address}/{} dev {device}", bits(address));
        if let Some(number) = number(cast, device) {
            let lladdr = hardware(FAR_SIDE, number);
            let _ = writeln!(
                text,
                "neighbor replace {address} lladdr {lladdr} dev {device} nud permanent"
            );
        }
    }
    text
}

/// For `ip -batch` on the far side.
fn far(cast: &Cast) -> String {
    let mut text = String::from("link set lo up\n");
    for index in 0..cast.devices.len() {
        let _ = writeln!(text, "link set far{index} up");
    }
    for far in &cast.far {
        let Some(index) = number(cast, &far.device) else {
            continue;
        };
        let nodad = if far.address.is_ipv6() { " nodad" } else { "" };
        let (address, length) = (far.address, bits(far.address));
        let _ = writeln!(text, "address add {address}/{length} dev far{index}{nodad}");
        let (near, length, lladdr) = (far.near, bits(far.near), hardware(NEAR_SIDE, index));
        let _ = writeln!(
            text,
            "route replace {near}/{length} dev far{index}\nneighbor replace {near} lladdr {lladdr} dev far{index} nud permanent"
        );
        if far.address.is_ipv4() {
            let _ = writeln!(text, "route replace 224.0.0.0/4 dev far{index}");
        }
    }
    text
}

/// Which cable a device is the end of.
fn number(cast: &Cast, name: &str) -> Option<usize> {
    cast.devices.iter().position(|device| device.name == name)
}

/// The hardware address of a cable's end, of the kind that everybody may give away himself. Both sides are told the
/// other's: rules that drop ICMPv6 would keep them from asking as soon as what they once heard is too old.
fn hardware(side: u8, number: usize) -> String {
    let [.., high, low] = number.to_be_bytes();
    format!("02:fa:00:{side:02x}:{high:02x}:{low:02x}")
}

fn bits(address: std::net::IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rehearse::cast::{Device, FarEnd};

    #[test]
    fn both_sides_know_each_other_for_good() {
        let address = |text: &str| text.parse().expect("an address");
        let device = |name: &str| Device {
            name: name.to_owned(),
            addresses: Vec::new(),
        };
        let cast = Cast {
            devices: vec![device("eth0"), device("eth1")],
            far: vec![FarEnd {
                address: address("2001:db8:9::9"),
                device: String::from("eth1"),
                near: address("2001:db8:10::10"),
            }],
            ..Cast::default()
        };
        let (near, far) = (near(&cast), far(&cast));
        let of = |side: u8| hardware(side, 1);
        let made = format!(
            "link add eth1 address {} type veth peer name far1 address {} netns far\n",
            of(NEAR_SIDE),
            of(FAR_SIDE)
        );
        assert!(near.contains(&made), "{near}");
        let told = |address: &str, side, device: &str| {
            let lladdr = of(side);
            format!("neighbor replace {address} lladdr {lladdr} dev {device} nud permanent\n")
        };
        assert!(near.contains(&told("2001:db8:9::9", FAR_SIDE, "eth1")), "{near}");
        assert!(far.contains(&told("2001:db8:10::10", NEAR_SIDE, "far1")), "{far}");
    }
}
