use super::*;
use crate::backend::kernel;
use crate::facts::{BootFacts, Os};

const ANSWERS: &str = include_str!("../../../../tests/rulesets/iptables-both/nft-ruleset.json");

/// Both variants are loaded; neither drops anything but what the third part says.
fn host(systemd: bool, file: bool) -> Facts {
    let mut facts = Facts {
        backend: Some(BackendId::Iptables),
        os: Os {
            id: String::from("debian"),
            systemd,
            ..Os::default()
        },
        ..Facts::default()
    };
    let path = |name: &str| file.then(|| format!("/etc/iptables/{name}").into());
    facts.boots.insert(
        BackendId::Iptables,
        BootFacts {
            file: path("rules.v4"),
            file6: path("rules.v6"),
            ..BootFacts::default()
        },
    );
    let saves = [
        (
            "iptables-nft-save",
            include_str!("../../../../tests/rulesets/iptables-both/iptables-nft-save"),
        ),
        (
            "ip6tables-nft-save",
            include_str!("../../../../tests/rulesets/iptables-both/ip6tables-nft-save"),
        ),
        (
            "iptables-legacy-save",
            include_str!("../../../../tests/rulesets/iptables-both/iptables-legacy-save"),
        ),
    ];
    facts.observations.outputs = saves
        .map(|(name, text)| (name.to_owned(), text.to_owned()))
        .into();
    facts.observations.nft_json = Some(ANSWERS.to_owned());
    facts
}

fn kept(facts: &Facts, spared: &[ipnet::IpNet]) -> Result<String, Vec<String>> {
    let theirs = kernel::of_facts(facts).expect("recorded").expect("read");
    let wish = Wish {
        tag: String::from("faspwall:1"),
        window_s: 120,
        facts,
        theirs: &theirs,
        requirements: &[],
        closing: &[22],
        spared,
        gates: None,
        helper_port: None,
        kept: "",
    };
    let text = Iptables.keeps(&wish)?;
    // What is written can be read again, rule by rule.
    let mut after = facts.clone();
    for (path, before, content) in Iptables.pieces(&wish, &text).files {
        assert_eq!(before, None);
        let boot = after.boots.get_mut(&BackendId::Iptables).expect("known");
        if boot.file.as_ref() == Some(&path) {
            boot.content = content;
        } else if boot.file6.as_ref() == Some(&path) {
            boot.content6 = content;
        } else {
            after.observations.files.insert(path, content.expect("written"));
        }
    }
    assert_eq!(Iptables.kept(&after, &theirs, ""), text);
    Ok(text)
}

#[test]
fn a_deny_goes_where_it_outlives_a_boot() {
    let text = kept(&host(true, true), &[]).expect("kept");
    let of = |program: &str| text.lines().filter(|line| line.starts_with(program)).count();
    assert_eq!(
        (of("iptables-nft -t "), of("ip6tables-nft -t ")),
        (1, 1),
        "{text}"
    );

    // Nothing loads the usual variant: IPv4 has rules of the other one, which our own unit loads; IPv6 has none.
    let told = kept(&host(true, false), &[]).expect_err("told").join("\n");
    assert!(
        told.contains("ip6tables at boot: after a reboot TCP/22 would be open again"),
        "{told}"
    );
    assert!(told.contains("apt-get install iptables-persistent"), "{told}");
    assert!(!told.contains("rules of iptables at boot"), "{told}");
    let told = kept(&host(false, false), &[]).expect_err("told");
    assert_eq!(told.len(), 2, "{told:?}");
}

#[test]
fn a_deny_in_a_file_of_our_own_may_spare_several_networks() {
    let mut facts = host(true, false);
    // A host without IPv6.
    facts.observations.outputs.remove("ip6tables-nft-save");
    let json = ANSWERS.replace("\"family\": \"ip6\"", "\"family\": \"arp\"");
    facts.observations.nft_json = Some(json);
    facts.links = vec![crate::facts::Link::default()];
    let nets: Vec<ipnet::IpNet> = ["10.0.0.0/8", "192.0.2.0/24"]
        .map(|net| net.parse().expect("a network"))
        .to_vec();
    let text = kept(&facts, &nets).expect("kept");
    assert_eq!(text.lines().count(), 4, "{text}");
    assert!(
        text.lines()
            .all(|line| line.starts_with("iptables-legacy -t filter ")),
        "{text}"
    );
    let one = kept(&facts, &nets[..1]).expect("kept");
    assert!(one.contains("! -s 10.0.0.0/8"), "{one}");
}
