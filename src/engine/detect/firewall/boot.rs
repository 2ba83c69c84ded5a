//! What brings the rules back after a reboot: for each firewall the file, the unit that loads it, and whether it does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::includes::whole;
use super::scripts::{Loader, Loads, Source, loaders};
use super::units::Unit;
use crate::facts::{BackendId, BootFacts};
use crate::system::System;

/// Where distributions keep native rules: Debian, Arch; Red Hat; Alpine.
const NFTABLES: [&str; 3] = [
    "/etc/nftables.conf",
    "/etc/sysconfig/nftables.conf",
    "/etc/nftables.nft",
];
/// Where they keep those of iptables, for both families: Debian, Ubuntu; Red Hat; Arch; Alpine.
const IPTABLES: [(&str, &str); 4] = [
    (DEBIAN.0, DEBIAN.1),
    (RED_HAT.0, RED_HAT.1),
    ("/etc/iptables/iptables.rules", "/etc/iptables/ip6tables.rules"),
    ("/etc/iptables/rules-save", "/etc/iptables/rules6-save"),
];
const DEBIAN: (&str, &str) = ("/etc/iptables/rules.v4", "/etc/iptables/rules.v6");
const RED_HAT: (&str, &str) = ("/etc/sysconfig/iptables", "/etc/sysconfig/ip6tables");
/// netfilter-persistent loads nothing without its plugins, which are in the package iptables-persistent.
const PLUGIN: &str = "/usr/share/netfilter-persistent/plugins.d/15-ip4tables";

/// Two that load rules of one firewall at boot, where the later one takes away what the other has loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rivals {
    /// The firewall.
    pub id: BackendId,
    /// Who loads the file that ours would go to, and that file.
    pub first: (String, PathBuf),
    /// The other script or unit, and its file.
    pub second: (PathBuf, PathBuf),
}

/// What loads the rules of each firewall at boot, and who gets into whose way there.
pub fn boots(
    system: &dyn System,
    systemd: bool,
    units: &BTreeMap<String, Unit>,
    sources: &[Source],
) -> (BTreeMap<BackendId, BootFacts>, Vec<Rivals>) {
    let host = Host {
        system,
        systemd,
        units,
        loaders: loaders(sources),
    };
    let found = [
        (BackendId::Nftables, host.nftables()),
        (BackendId::Iptables, host.iptables()),
        (BackendId::Ufw, host.ufw()),
        (BackendId::Firewalld, host.firewalld()),
    ];
    let boots: BTreeMap<BackendId, BootFacts> = found
        .into_iter()
        .map(|(id, boot)| (id, host.filled(id, boot)))
        .collect();
    let rivals = boots
        .iter()
        .filter_map(|(id, boot)| host.rivals(*id, boot))
        .collect();
    (boots, rivals)
}

struct Host<'a> {
    system: &'a dyn System,
    systemd: bool,
    units: &'a BTreeMap<String, Unit>,
    loaders: Vec<Loader>,
}

impl Host<'_> {
    fn unit(&self, name: &str) -> Option<&Unit> {
        self.units.get(name).filter(|unit| unit.loaded)
    }

    fn there(&self, path: &str) -> Option<PathBuf> {
        self.system.mode(Path::new(path)).map(|_| PathBuf::from(path))
    }

    /// Whether the service manager starts it: systemd's answer, else that of OpenRC, if there is one.
    fn enabled(&self, unit: Option<&Unit>, service: &str) -> Option<bool> {
        match unit {
            Some(unit) => Some(unit.enabled),
            None if self.systemd => Some(false),
            None => openrc_runs(self.system, service),
        }
    }

    fn loader(&self, loads: Loads) -> Option<&Loader> {
        let mut all = self.loaders.iter().filter(|loader| loader.loads == loads);
        all.find(|loader| loader.enabled)
    }

    fn nftables(&self) -> BootFacts {
        let unit = self.unit("nftables.service");
        let of_unit = unit.and_then(|unit| unit.file_after(&["-f", "--file"]));
        let mut boot = BootFacts {
            file: of_unit.or_else(|| NFTABLES.iter().find_map(|path| self.there(path))),
            unit: unit.map(|_| "nftables.service".to_owned()),
            enabled: self.enabled(unit, "nftables"),
            ..BootFacts::default()
        };
        if let (Some(loader), true) = (self.loader(Loads::Nft), boot.enabled != Some(true)) {
            boot.file = Some(loader.file.clone());
            boot.unit = Some(loader.by.display().to_string());
            boot.enabled = Some(true);
        }
        boot
    }

    fn iptables(&self) -> BootFacts {
        let persistent = self.unit("netfilter-persistent.service");
        let mut boot = if persistent.is_some() && self.there(PLUGIN).is_some() {
            self.iptables_of(Some("netfilter-persistent.service"), DEBIAN.into(), None)
        } else if let Some(unit) = self.unit("iptables.service") {
            let own = unit.restored_file();
            let v6 = self.unit("ip6tables.service");
            let own6 = v6.and_then(Unit::restored_file);
            let files = (
                own.unwrap_or_else(|| PathBuf::from(RED_HAT.0)),
                own6.unwrap_or_else(|| PathBuf::from(RED_HAT.1)),
            );
            self.iptables_of(
                Some("iptables.service"),
                (files.0.as_path(), files.1.as_path()).into(),
                v6.map(|_| "ip6tables.service"),
            )
        } else {
            // Without systemd the files tell which distribution this is.
            let files = IPTABLES
                .iter()
                .find(|(v4, _)| !self.systemd && self.there(v4).is_some());
            match files {
                Some(files) => self.iptables_of(None, (*files).into(), None),
                None => BootFacts {
                    enabled: self.systemd.then_some(false),
                    enabled6: self.systemd.then_some(false),
                    ..BootFacts::default()
                },
            }
        };
        self.scripts_of_iptables(&mut boot);
        boot
    }

    fn iptables_of(&self, unit: Option<&str>, files: Files, unit6: Option<&str>) -> BootFacts {
        let enabled =
            |name: Option<&str>, service| self.enabled(name.and_then(|name| self.unit(name)), service);
        BootFacts {
            file: Some(files.v4),
            unit: unit.map(str::to_owned),
            enabled: enabled(unit, "iptables"),
            file6: Some(files.v6),
            unit6: unit6
                .or(unit.filter(|_| unit == Some("netfilter-persistent.service")))
                .map(str::to_owned),
            enabled6: match unit6 {
                Some(_) => enabled(unit6, "ip6tables"),
                None if unit == Some("iptables.service") => Some(false),
                None => enabled(unit, "ip6tables"),
            },
            ..BootFacts::default()
        }
    }

    /// A script that loads rules beats a unit that is not enabled.
    fn scripts_of_iptables(&self, boot: &mut BootFacts) {
        if let (Some(loader), true) = (self.loader(Loads::Iptables), boot.enabled != Some(true)) {
            boot.file = Some(loader.file.clone());
            boot.unit = Some(loader.by.display().to_string());
            boot.enabled = Some(true);
        }
        if let (Some(loader), true) = (self.loader(Loads::Ip6tables), boot.enabled6 != Some(true)) {
            boot.file6 = Some(loader.file.clone());
            boot.unit6 = Some(loader.by.display().to_string());
            boot.enabled6 = Some(true);
        }
    }

    /// Another enabled loader of the same firewall that empties what the first one has loaded, or is emptied by it.
    fn rivals(&self, id: BackendId, boot: &BootFacts) -> Option<Rivals> {
        let (native, v4, v6) = (Loads::Nft, Loads::Iptables, Loads::Ip6tables);
        let pairs = match id {
            BackendId::Nftables => vec![(native, &boot.file, &boot.unit, boot.enabled)],
            BackendId::Iptables => vec![
                (v4, &boot.file, &boot.unit, boot.enabled),
                (v6, &boot.file6, &boot.unit6, boot.enabled6),
            ],
            _ => Vec::new(),
        };
        pairs.into_iter().find_map(|(loads, file, unit, enabled)| {
            let file = file.clone().filter(|_| enabled == Some(true))?;
            let all = || {
                self.loaders
                    .iter()
                    .filter(|one| one.enabled && one.loads == loads)
            };
            let variant = all().find(|one| one.file == file).and_then(|one| one.variant);
            let mut others = all().filter(|other| other.variant == variant);
            let other = others.find(|other| other.file != file && self.empties(other))?;
            Some(Rivals {
                id,
                first: (unit.clone().unwrap_or_else(|| id.to_string()), file),
                second: (other.by.clone(), other.file.clone()),
            })
        })
    }

    fn empties(&self, loader: &Loader) -> bool {
        let text = || {
            let text = self.system.read_text(&loader.file).unwrap_or_default();
            whole(self.system, &text).unwrap_or(text)
        };
        loader.empties || (loader.loads == Loads::Nft && empties_tables(&text()))
    }

    fn ufw(&self) -> BootFacts {
        let unit = self.unit("ufw.service");
        BootFacts {
            file: self.there("/etc/ufw/user.rules"),
            file6: self.there("/etc/ufw/user6.rules"),
            unit: unit.map(|_| "ufw.service".to_owned()),
            enabled: self.enabled(unit, "ufw"),
            ..BootFacts::default()
        }
    }

    fn firewalld(&self) -> BootFacts {
        let unit = self.unit("firewalld.service");
        BootFacts {
            file: self.there("/etc/firewalld/firewalld.conf"),
            unit: unit.map(|_| "firewalld.service".to_owned()),
            enabled: self.enabled(unit, "firewalld"),
            ..BootFacts::default()
        }
    }

    fn filled(&self, id: BackendId, mut boot: BootFacts) -> BootFacts {
        let read = |file: &Option<PathBuf>| file.as_deref().and_then(|path| self.system.read_text(path));
        boot.content = read(&boot.file);
        boot.content6 = read(&boot.file6);
        if let (BackendId::Nftables, Some(content)) = (id, &boot.content) {
            boot.whole = whole(self.system, content);
        }
        boot
    }
}

/// The files of the two families.
struct Files {
    v4: PathBuf,
    v6: PathBuf,
}

impl<P: AsRef<Path>> From<(P, P)> for Files {
    fn from((v4, v6): (P, P)) -> Self {
        Self {
            v4: v4.as_ref().to_owned(),
            v6: v6.as_ref().to_owned(),
        }
    }
}

/// Whether a file for nft takes tables away that others have loaded.
fn empties_tables(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim);
    lines.any(|line| {
        ["flush ruleset", "flush table", "delete table", "destroy table"]
            .iter()
            .any(|words| line.starts_with(words))
    })
}

/// Whether OpenRC starts a service; `None` where there is no OpenRC.
fn openrc_runs(system: &dyn System, service: &str) -> Option<bool> {
    let levels = system.list(Path::new("/etc/runlevels"));
    (!levels.is_empty()).then(|| {
        levels
            .iter()
            .any(|level| system.mode(&level.join(service)).is_some())
    })
}
