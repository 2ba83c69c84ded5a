//! firewalld as it is: its zones now and at the next start, and what else decides about packets.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::access::{Probe, Services};
use super::need::lets_anybody_use;
use super::zone::{self, Service, Zone};
use crate::facts::{Facts, Observations};

/// Where the permanent configuration of the host lies.
pub const ETC: &str = "/etc/firewalld";
/// Where the packaged one lies, used for what is not in [`ETC`].
pub const PACKAGED: &str = "/usr/lib/firewalld";
/// The main file.
pub const CONF: &str = "/etc/firewalld/firewalld.conf";
/// Direct rules.
pub const DIRECT: &str = "/etc/firewalld/direct.xml";
/// Arguments of the one call that tells all zones at run time.
pub const LIST_ZONES: [&str; 1] = ["--list-all-zones"];
/// The same as a key of [`Observations::outputs`].
pub const LISTED: &str = "firewall-cmd --list-all-zones";

/// The port of SSH everywhere.
const SSH: u16 = 22;
/// Zones that Docker and libvirt bring along and bind the links of their containers and machines to. They are theirs to
/// rule, and are left alone.
const GUESTS: [&str; 3] = ["docker", "libvirt", "libvirt-routed"];

/// What firewalld says and what its files hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// The zone of links that are bound to none.
    pub default: String,
    /// Zones now.
    pub runtime: Vec<Zone>,
    /// Zones at the next start.
    pub permanent: Vec<Zone>,
    /// Services that are used.
    pub services: Services,
    /// Of each zone now, what it would still let in after a reload. Firewalld does not tell for how long something is
    /// added (`--timeout`), but that is never permanent.
    lasting: Vec<Zone>,
}

/// The file of a zone.
pub fn zone_file(directory: &str, zone: &str) -> PathBuf {
    PathBuf::from(format!("{directory}/zones/{zone}.xml"))
}

/// Name of the zone or service whose file this is.
fn named(path: &Path, kind: &str) -> Option<(bool, String)> {
    let etc = path.strip_prefix(ETC).ok();
    let rest = etc.or_else(|| path.strip_prefix(PACKAGED).ok())?;
    let name = rest.strip_prefix(kind).ok()?.to_str()?.strip_suffix(".xml")?;
    Some((etc.is_some(), name.to_owned()))
}

/// Contents by name, those of the host before the packaged ones.
fn contents<'a>(files: &'a BTreeMap<PathBuf, String>, kind: &str) -> BTreeMap<String, &'a str> {
    let mut found: BTreeMap<String, &str> = BTreeMap::new();
    for own in [false, true] {
        for (path, text) in files {
            if let Some((_, name)) = named(path, kind).filter(|(etc, _)| *etc == own) {
                found.insert(name, text);
            }
        }
    }
    found
}

/// The value of a line `KEY=value` of firewalld.conf.
pub fn setting(conf: &str, key: &str) -> Option<String> {
    conf.lines()
        .filter_map(|line| line.trim().split_once('='))
        .filter(|(name, _)| name.trim() == key)
        .map(|(_, value)| value.trim().to_owned())
        .next_back()
}

/// The services of a service's file and of those it includes are read by `engine::detect`; this names the ones that
/// zones use.
pub fn services_used(zones: &[Zone]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for zone in zones {
        names.extend(zone.services.iter().cloned());
        names.extend(zone.rich.iter().filter_map(|rule| match &rule.what {
            super::rich::What::Service(name) => Some(name.clone()),
            _ => None,
        }));
    }
    names.sort();
    names.dedup();
    names
}

/// Every zone, as it is now and as it will be.
pub fn zones_seen(seen: &Observations) -> Vec<Zone> {
    let mut zones = seen
        .outputs
        .get(LISTED)
        .map(|text| zone::listed(text).0)
        .unwrap_or_default();
    let files = contents(&seen.files, "zones").into_iter();
    zones.extend(files.map(|(name, text)| zone::of_file(&name, text)));
    zones
}

impl State {
    /// Reads what was observed; `None` when the daemon did not tell its zones.
    pub fn read(seen: &Observations) -> Option<Self> {
        let text = seen.outputs.get(LISTED)?;
        let (runtime, marked) = zone::listed(text);
        let conf = seen.files.get(Path::new(CONF));
        let configured = conf.and_then(|conf| setting(conf, "DefaultZone"));
        let services: BTreeMap<String, Service> = contents(&seen.files, "services")
            .into_iter()
            .map(|(name, text)| (name, zone::service_of_file(text)))
            .collect();
        let permanent: Vec<Zone> = contents(&seen.files, "zones")
            .into_iter()
            .map(|(name, text)| zone::of_file(&name, text))
            .collect();
        let later = |zone: &Zone| permanent.iter().find(|later| later.name == zone.name);
        let lasting = runtime
            .iter()
            .map(|zone| later(zone).map_or_else(|| zone.clone(), |later| zone.lasting(later)))
            .collect();
        (!runtime.is_empty()).then(|| Self {
            default: marked.or(configured).unwrap_or_else(|| String::from("public")),
            lasting,
            runtime,
            permanent,
            services: Services(services),
        })
    }

    /// What a zone lets in for good.
    pub fn lasting(&self, permanent: bool, zone: &Zone) -> Zone {
        let lasting = self.lasting.iter().find(|lasting| lasting.name == zone.name);
        let lasting = lasting.filter(|_| !permanent);
        lasting.map_or_else(|| zone.clone(), |lasting| zone.lasting(lasting))
    }

    /// The zones now or at the next start.
    pub fn zones(&self, permanent: bool) -> &[Zone] {
        if permanent { &self.permanent } else { &self.runtime }
    }

    /// A zone by name.
    pub fn zone(&self, permanent: bool, name: &str) -> Option<&Zone> {
        self.zones(permanent).iter().find(|zone| zone.name == name)
    }

    /// The zone of a link.
    pub fn zone_of_link(&self, permanent: bool, link: &str) -> String {
        let mut zones = self.zones(permanent).iter();
        let bound = zones.find(|zone| zone.has_link(link));
        bound.map_or_else(|| self.default.clone(), |zone| zone.name.clone())
    }

    /// The zone that new connections of the operator come to, and whether it is because of the address they come from.
    pub fn zone_of_operator(&self, permanent: bool, facts: &Facts) -> Option<(String, bool)> {
        let session = facts.session.as_ref()?;
        let client = session.client?;
        let by_source = self
            .zones(permanent)
            .iter()
            .find(|zone| zone.networks().any(|net| net.contains(&client)));
        if let Some(zone) = by_source {
            return Some((zone.name.clone(), true));
        }
        let server = session.server?;
        let of_server = |link: &&crate::facts::Link| link.addresses.iter().any(|net| net.addr() == server);
        let link = facts.links.iter().find(of_server)?;
        Some((self.zone_of_link(permanent, &link.name), false))
    }

    /// The zones that strangers come to: those of the links that lead outside, and those bound to networks, unless they
    /// let nobody in.
    pub fn serving(&self, permanent: bool, facts: &Facts) -> Vec<String> {
        let outside: Vec<&str> = facts
            .links
            .iter()
            .filter(|link| link.outside)
            .map(|link| link.name.as_str())
            .collect();
        let zones = self.zones(permanent);
        let mut names: Vec<String> = outside
            .iter()
            .map(|link| self.zone_of_link(permanent, link))
            .collect();
        if outside.is_empty() {
            // Not known: every link but the inner ones may be one.
            names.push(self.default.clone());
            let with_links = zones.iter().filter(|zone| !zone.interfaces.is_empty());
            names.extend(with_links.map(|zone| zone.name.clone()));
        }
        let by_source = zones
            .iter()
            .filter(|zone| !zone.sources.is_empty() && zone.lets_in());
        names.extend(by_source.map(|zone| zone.name.clone()));
        names.sort();
        names.dedup();
        names
    }

    /// The zones to which packets come at all.
    pub fn active(&self, permanent: bool) -> impl Iterator<Item = &Zone> {
        let zones = self.zones(permanent).iter();
        zones.filter(|zone| zone.bound() || zone.name == self.default)
    }

    /// The zones to which packets of people come, now or after the next start, whatever their links are called and
    /// whether they are up: all but those of guests that run on this host, unless strangers come to these as well.
    pub fn reached(&self, permanent: bool, facts: &Facts) -> Vec<&Zone> {
        let mut names: Vec<&str> = self.active(permanent).map(|zone| zone.name.as_str()).collect();
        // A link that was put into its zone by another program than firewalld is in it after a reboot as well.
        names.extend(self.active(false).map(|zone| zone.name.as_str()));
        let serving = self.serving(permanent, facts);
        let of_people = |name: &str| !GUESTS.contains(&name) || serving.iter().any(|serving| serving == name);
        let zones = self.zones(permanent).iter();
        zones
            .filter(|zone| names.contains(&zone.name.as_str()) && of_people(&zone.name))
            .collect()
    }

    /// The zones that get what is wanted: those that strangers come to, and every other one where somebody may log in
    /// by SSH, or use another port that is shut. Whoever loses a door must find the new one.
    pub fn opened(&self, permanent: bool, facts: &Facts, closing: &[u16]) -> Vec<&Zone> {
        let mut names = self.serving(permanent, facts);
        if permanent {
            names.extend(self.serving(false, facts));
        }
        let doors = closing.iter().chain(&[SSH]);
        let loses = |zone: &&Zone| doors.clone().any(|port| lets_anybody_use(self, zone, *port));
        let more = self.reached(permanent, facts).into_iter().filter(loses);
        names.extend(more.map(|zone| zone.name.clone()));
        let zones = self.zones(permanent).iter();
        zones.filter(|zone| names.contains(&zone.name)).collect()
    }

    /// What differs between now and the next start, in words, without what `ours` allows for.
    pub fn differences(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for zone in self.active(false).chain(self.active(true)) {
            let Some((now, later)) = self.zone(false, &zone.name).zip(self.zone(true, &zone.name)) else {
                continue;
            };
            lines.extend(missing(now, later, "only until the next reload"));
            lines.extend(missing(later, now, "only after the next reload"));
        }
        lines.sort();
        lines.dedup();
        lines
    }

    /// Whether a packet of a stranger to a port of this host is let in by a zone.
    pub fn open(&self, zone: &Zone, probe: &Probe) -> bool {
        super::access::access(&self.services, zone, probe).is_open()
    }
}

/// What one form of a zone has and the other has not.
fn missing(here: &Zone, there: &Zone, when: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let name = &here.name;
    let mut say = |what: String| lines.push(format!("zone {name}: {what} {when}"));
    for one in here.services.iter().filter(|one| !there.services.contains(one)) {
        say(format!("service {one}"));
    }
    for one in here.ports.iter().filter(|one| !there.ports.contains(one)) {
        say(format!("port {}/{}", one.0, one.1));
    }
    for one in here.protocols.iter().filter(|one| !there.protocols.contains(one)) {
        say(format!("protocol {one}"));
    }
    for one in here.sources.iter().filter(|one| !there.sources.contains(one)) {
        say(format!("source {one}"));
    }
    for one in here
        .interfaces
        .iter()
        .filter(|one| !there.interfaces.contains(one))
    {
        say(format!("link {one}"));
    }
    for one in here.others.iter().filter(|one| !there.others.contains(one)) {
        say(one.clone());
    }
    let rules = here.rich.iter().filter(|one| !there.rich.contains(one)).count();
    if rules > 0 {
        say(format!("{rules} rich rule{}", if rules == 1 { "" } else { "s" }));
    }
    if here.target != there.target {
        say(String::from("another target"));
    }
    lines
}
