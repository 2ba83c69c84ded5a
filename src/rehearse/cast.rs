//! Who takes part: the interfaces of the copy, and the addresses on the far side of each cable.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::Subject;
use super::copy::Copy;
use crate::facts::Link;
use crate::matrix::Family;

/// Addresses that strangers may come from: the first one that no rule of the host names is taken. The first two are for
/// documentation, which some rulesets drop as bogus; the others belong to sites that everybody knows.
const STRANGERS: [&str; 8] = [
    "198.51.100.9",
    "203.0.113.9",
    "93.184.215.14",
    "151.101.65.140",
    "2001:db8:9::9",
    "2001:db8:feed::9",
    "2606:2800:21f:cb07:6820:80da:af6b:8b2c",
    "2a04:4e42::396",
];
/// What a host without an address in a family gets in the copy, so that its rules for that family can be tried.
const MADE_UP: [(&str, Family); 2] = [
    ("192.0.2.10/24", Family::Ipv4),
    ("2001:db8:10::10/64", Family::Ipv6),
];

/// An interface of the copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// Addresses of the host on it.
    pub addresses: Vec<IpNet>,
}

/// An address on the far side, and how the host is reached from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FarEnd {
    /// The address.
    pub address: IpAddr,
    /// The interface by which it comes in.
    pub device: String,
    /// The address of the host that it talks to.
    pub near: IpAddr,
}

/// Everybody.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cast {
    /// All interfaces but `lo`.
    pub devices: Vec<Device>,
    /// The device that strangers come in by.
    pub front: String,
    /// Those on the far side.
    pub far: Vec<FarEnd>,
    /// The operator's address, when it is one of a connection.
    pub admin: Option<IpAddr>,
    /// A stranger of each family.
    pub strangers: Vec<IpAddr>,
    /// The port of the operator's session, or sshd's.
    pub session_port: Option<u16>,
    /// What to tell of it.
    pub notes: Vec<String>,
}

/// The family of an address.
pub fn family(address: IpAddr) -> Family {
    if address.is_ipv4() {
        Family::Ipv4
    } else {
        Family::Ipv6
    }
}

fn usable(address: IpAddr) -> bool {
    let local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    !address.is_loopback() && !address.is_unspecified() && !address.is_multicast() && !local
}

/// An address that bears no IPv4 address in IPv6 clothes.
fn plain(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

impl Cast {
    /// Chooses everybody.
    pub fn new(subject: &Subject<'_>, links: &[Link], copy: &Copy, has_v6: bool) -> Self {
        let session = subject.facts.session.as_ref();
        let mut cast = Self {
            devices: devices(links, copy),
            session_port: session
                .and_then(|s| s.server_port)
                .or_else(|| subject.facts.ssh.ports.first().copied()),
            ..Self::default()
        };
        if !has_v6 {
            for device in &mut cast.devices {
                device.addresses.retain(|net| family(net.addr()) == Family::Ipv4);
            }
        }
        cast.front = front(links, &cast.devices);
        cast.fill_families(has_v6);
        let named = copy.networks();
        for wanted in [Family::Ipv4, Family::Ipv6] {
            if cast.near_on_front(wanted).is_none() {
                continue;
            }
            let candidates: Vec<IpAddr> = STRANGERS
                .iter()
                .filter_map(|text| text.parse().ok())
                .filter(|address| family(*address) == wanted)
                .collect();
            let unknown = |address: &&IpAddr| !named.iter().any(|net| net.contains(*address));
            let chosen = candidates.iter().find(unknown).or(candidates.last());
            cast.strangers.extend(chosen.copied());
        }
        cast.strangers.clone().into_iter().for_each(|a| {
            cast.add(a);
        });
        if let Some(client) = session.and_then(|s| s.client).map(plain)
            && usable(client)
            && cast.add_from(client, session.and_then(|s| s.server).map(plain))
        {
            cast.admin = Some(client);
        }
        cast
    }

    /// Gives the front device an address in each family that the host can speak.
    fn fill_families(&mut self, has_v6: bool) {
        for (text, wanted) in MADE_UP {
            let has = self
                .devices
                .iter()
                .any(|device| device.addresses.iter().any(|net| family(net.addr()) == wanted));
            if has || (wanted == Family::Ipv6 && !has_v6) {
                continue;
            }
            let front = self.front.clone();
            if let (Some(device), Ok(net)) = (self.devices.iter_mut().find(|d| d.name == front), text.parse())
            {
                device.addresses.push(net);
            }
        }
        if !has_v6 {
            self.notes
                .push("IPv6: it is switched off on this host".to_owned());
        }
    }

    fn near_on_front(&self, wanted: Family) -> Option<(String, IpAddr)> {
        let first = |device: &Device| {
            let mut of_family = device.addresses.iter().filter(|net| family(net.addr()) == wanted);
            of_family.next().map(|net| (device.name.clone(), net.addr()))
        };
        let front = self.devices.iter().find(|device| device.name == self.front);
        front
            .and_then(first)
            .or_else(|| self.devices.iter().find_map(first))
    }

    /// Puts an address on the far side; `false` when it is the host's own or cannot reach it.
    pub fn add(&mut self, address: IpAddr) -> bool {
        self.add_from(address, None)
    }

    fn add_from(&mut self, address: IpAddr, reached: Option<IpAddr>) -> bool {
        if self.far.iter().any(|far| far.address == address) {
            return true;
        }
        let own = |net: &IpNet| net.addr() == address;
        if !usable(address) || self.devices.iter().any(|d| d.addresses.iter().any(own)) {
            return false;
        }
        let mut ways: Vec<(u8, &Device, IpAddr)> = Vec::new();
        for device in &self.devices {
            for net in &device.addresses {
                if Some(net.addr()) == reached {
                    ways.push((u8::MAX, device, net.addr()));
                } else if net.contains(&address) {
                    ways.push((net.prefix_len(), device, net.addr()));
                }
            }
        }
        let best = ways.into_iter().max_by_key(|(length, _, _)| *length);
        let way = best
            .map(|(_, device, near)| (device.name.clone(), near))
            .or_else(|| self.near_on_front(family(address)));
        let Some((device, near)) = way else { return false };
        self.far.push(FarEnd {
            address,
            device,
            near,
        });
        true
    }

    /// The address of the host that a far address talks to.
    pub fn near(&self, far: IpAddr) -> Option<IpAddr> {
        self.far.iter().find(|f| f.address == far).map(|f| f.near)
    }

    /// An address in a network, put on the far side.
    pub fn member(&mut self, net: &IpNet) -> Option<IpAddr> {
        let known = self.far.iter().map(|f| f.address).find(|a| net.contains(a));
        if known.is_some() {
            return known;
        }
        // The first address of a network may be the host's own, or stand for the whole.
        let addresses = std::iter::successors(Some(net.network()), |address| next(*address));
        let candidates: Vec<IpAddr> = addresses
            .skip(usize::from(net.prefix_len() < net.max_prefix_len()))
            .take(8)
            .filter(|a| net.contains(a))
            .collect();
        candidates.into_iter().find(|address| self.add(*address))
    }

    /// A stranger who is in none of the networks, of a family.
    pub fn outsider(&mut self, wanted: Family, nets: &[IpNet]) -> Option<IpAddr> {
        let mut candidates: Vec<IpAddr> = self.strangers.clone();
        candidates.extend(STRANGERS.iter().filter_map(|text| text.parse::<IpAddr>().ok()));
        let fits = |a: &IpAddr| family(*a) == wanted && !nets.iter().any(|net| net.contains(a));
        let chosen = candidates.into_iter().find(fits)?;
        self.add(chosen).then_some(chosen)
    }
}

fn next(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => u32::from(v4)
            .checked_add(1)
            .map(|n| IpAddr::V4(Ipv4Addr::from(n))),
        IpAddr::V6(v6) => u128::from(v6)
            .checked_add(1)
            .map(|n| IpAddr::V6(Ipv6Addr::from(n))),
    }
}

/// The host's interfaces, and every other one that a rule names.
fn devices(links: &[Link], copy: &Copy) -> Vec<Device> {
    let mut devices: Vec<Device> = links
        .iter()
        .filter(|link| link.name != "lo")
        .map(|link| Device {
            name: link.name.clone(),
            addresses: link
                .addresses
                .iter()
                .filter(|net| usable(net.addr()))
                .copied()
                .collect(),
        })
        .collect();
    for name in copy.interfaces() {
        if name != "lo" && !devices.iter().any(|device| device.name == name) {
            devices.push(Device {
                name,
                addresses: Vec::new(),
            });
        }
    }
    if links.is_empty() && !devices.iter().any(|device| leads_outside(&device.name)) {
        devices.push(Device {
            name: "eth0".to_owned(),
            addresses: Vec::new(),
        });
    }
    devices
}

/// Whether a name is not one of those that only containers, machines on this host and tunnels use.
fn leads_outside(name: &str) -> bool {
    const INSIDE: [&str; 13] = [
        "lo", "br", "docker", "virbr", "veth", "vnet", "lxc", "lxd", "cni", "wg", "tun", "tap", "cali",
    ];
    !INSIDE.iter().any(|beginning| name.starts_with(beginning))
}

/// The interface that strangers come in by: that of the default route, or the first that leads outside.
fn front(links: &[Link], devices: &[Device]) -> String {
    let known = |link: &&Link| devices.iter().any(|device| device.name == link.name);
    let chosen = links
        .iter()
        .filter(known)
        .find(|link| link.default_route)
        .or_else(|| links.iter().filter(known).find(|link| link.outside))
        .map(|link| link.name.clone());
    let named = |wanted: &dyn Fn(&str) -> bool| devices.iter().find(|d| wanted(&d.name));
    chosen
        .or_else(|| {
            let front = named(&|name| name == "eth0").or_else(|| named(&leads_outside));
            front.or(devices.first()).map(|device| device.name.clone())
        })
        .unwrap_or_default()
}
