//! Builds the copy's network: one cable for each interface, and the addresses at both ends.

use std::fmt::Write;
use std::path::Path;

use super::FAR;
use super::cast::Cast;
use crate::step::{Invocation, Tool};
use crate::system::{System, SystemError};

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
            "link add {name} type veth peer name far{number} netns {FAR}"
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
        let _ = writeln!(
            text,
            "route replace {}/{} dev {}",
            far.address,
            bits(far.address),
            far.device
        );
    }
    text
}

/// For `ip -batch` on the far side.
fn far(cast: &Cast) -> String {
    let mut text = String::from("link set lo up\n");
    let number = |name: &str| cast.devices.iter().position(|device| device.name == name);
    for index in 0..cast.devices.len() {
        let _ = writeln!(text, "link set far{index} up");
    }
    for far in &cast.far {
        let Some(index) = number(&far.device) else {
            continue;
        };
        let nodad = if far.address.is_ipv6() { " nodad" } else { "" };
        let (address, length) = (far.address, bits(far.address));
        let _ = writeln!(text, "address add {address}/{length} dev far{index}{nodad}");
        let (near, length) = (far.near, bits(far.near));
        let _ = writeln!(text, "route replace {near}/{length} dev far{index}");
        if far.address.is_ipv4() {
            let _ = writeln!(text, "route replace 224.0.0.0/4 dev far{index}");
        }
    }
    text
}

fn bits(address: std::net::IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}
