//! An installed Aspera product: which it is, and the ports that its own configuration names.

pub mod conf;

use std::path::{Path, PathBuf};

use super::PROBE_LIMIT;
use crate::facts::AsperaFacts;
use crate::step::{Invocation, Tool};
use crate::system::System;
use conf::Conf;

/// Roots of products, in the order in which they count when there are several. Sources: the vendor's manuals for
/// server, proxy and web applications; IBM's own command line tool for `product-info.mf`.
const ROOTS: [(&str, &str); 5] = [
    ("/opt/aspera", "IBM Aspera High-Speed Transfer Server"),
    ("/opt/aspera/proxy", "IBM Aspera Proxy"),
    ("/opt/aspera/faspex", "IBM Aspera Faspex"),
    ("/opt/aspera/shares", "IBM Aspera Shares"),
    ("/opt/aspera/console", "IBM Aspera Console"),
];

/// What `ascp -A` tells.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Licence {
    product: String,
    version: String,
    /// `connect`, `node`, `http_fallback_server`, ...
    settings: Vec<String>,
}

/// Looks for a product.
pub fn product(system: &dyn System) -> Option<AsperaFacts> {
    let there = |path: &PathBuf| system.mode(path).is_some();
    for (root, usual_name) in ROOTS {
        let root = Path::new(root);
        let proofs = [
            "product-info.mf",
            "bin/ascp",
            "etc/aspera.conf",
            "etc/aspera-license",
        ];
        // The web applications keep their settings elsewhere; below /opt/aspera there are many other directories.
        let application = ["faspex", "shares", "console"].iter().any(|n| root.ends_with(n));
        if proofs.iter().any(|name| there(&root.join(name))) || (application && there(&root.to_owned())) {
            return Some(installed(system, root, usual_name));
        }
    }
    let home = PathBuf::from(system.env("HOME")?).join(".aspera/connect");
    there(&home.join("bin/ascp")).then(|| installed(system, &home, "IBM Aspera Connect"))
}

fn installed(system: &dyn System, root: &Path, usual_name: &str) -> AsperaFacts {
    let manifest = system
        .read_text(&root.join("product-info.mf"))
        .map(|text| conf::manifest(&text))
        .unwrap_or_default();
    let licence = if root == Path::new("/opt/aspera") && system.mode(&root.join("bin/ascp")).is_some() {
        let call = Invocation::new(Tool::Ascp, ["-A"]).within(PROBE_LIMIT);
        parse_licence(&system.run(&call).unwrap_or_default().stdout)
    } else {
        Licence::default()
    };
    let conf_path = root.join("etc/aspera.conf");
    let text = system.read_text(&conf_path);
    let found = text.as_deref().map(Conf::parse).unwrap_or_default();
    let first = |candidates: [&str; 3]| {
        candidates
            .into_iter()
            .find(|c| !c.is_empty())
            .unwrap_or_default()
            .to_owned()
    };
    let product = first([&manifest.0, &licence.product, usual_name]);
    let version = first([&manifest.1, &licence.version, ""]);
    AsperaFacts {
        role: role(&product, &version, &licence.settings, found.reverse_proxy).map(str::to_owned),
        product,
        version,
        path: root.to_owned(),
        conf: text.is_some().then_some(conf_path),
        udp_port: found.udp_port,
        udp_port_reuse: found.udp_port_reuse,
        ssh_port: found.ssh_port,
        http: found.http,
        https: found.https,
        vlink_port: found.vlink_port,
        vlink_id: found.vlink_id,
        web_ssh_port: found.web_ssh_port,
        web_udp_port: found.web_udp_port,
        web_http_port: found.web_http_port,
        web_https_port: found.web_https_port,
        problems: found.problems,
        conf_text: text,
    }
}

fn parse_licence(text: &str) -> Licence {
    let mut licence = Licence::default();
    for line in text.lines() {
        if let Some(list) = line.strip_prefix("Enabled settings:") {
            licence.settings = list
                .replace(" and ", ", ")
                .split(',')
                .map(|setting| setting.trim().to_owned())
                .filter(|setting| !setting.is_empty())
                .collect();
        } else if let (true, Some((product, version))) =
            (licence.product.is_empty(), line.rsplit_once(" version "))
        {
            licence.product = product.trim().to_owned();
            licence.version = version.split_whitespace().next().unwrap_or_default().to_owned();
        }
    }
    licence
}

/// The role of the catalogue that fits a product.
fn role(product: &str, version: &str, settings: &[String], reverse_proxy: bool) -> Option<&'static str> {
    let name = product.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    let connect = settings.iter().any(|setting| setting == "connect");
    // Until 3.9 a "connect" licence made the server a Connect Server, with web pages for browsers.
    let old = version
        .split('.')
        .next()
        .and_then(|major| major.parse::<u32>().ok())
        .is_some_and(|major| major < 4);
    Some(if has(&["connect server"]) {
        "connect-server"
    } else if has(&["enterprise server"]) {
        if connect {
            "connect-server"
        } else {
            "enterprise-server"
        }
    } else if has(&["transfer server", "hst server"]) {
        if connect && old {
            "connect-server"
        } else {
            "high-speed-transfer-server"
        }
    } else if has(&["endpoint", "point-to-point", "p2p"]) {
        "endpoint"
    } else if has(&["proxy"]) {
        if reverse_proxy {
            "reverse-proxy"
        } else {
            "forward-proxy"
        }
    } else if has(&["faspex"]) {
        "faspex"
    } else if has(&["shares"]) {
        "shares"
    } else if has(&["console"]) {
        "console"
    } else if has(&["client", "connect", "desktop", "drive", "cargo", "sdk", "cli"]) {
        "client"
    } else {
        return None;
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As printed by a server 3.9.3 in a public hands-on guide (github.com/keisz/aspera_handson, Lab1).
    const ASCP_A: &str = "IBM Aspera High-Speed Transfer Server version 3.9.3.174419\nascp version 3.9.3.174419\n\
        Operating System: Linux\nFIPS 140-2-validated crypto ready to configure\nAES-NI Supported\n\
        Connect Server License max rate=10000 Mbps, account no.=1, license no.=2. Expiration date: Thu Dec 31 15:59:59 2020\n\
        Enabled settings: connect, mobile, cargo, node, drive, http_fallback_server, group_configuration, \
        shared_endpoints, desktop_gui and sync2\n";

    #[test]
    fn the_licence_line_tells_product_version_and_settings() {
        let licence = parse_licence(ASCP_A);
        assert_eq!(licence.product, "IBM Aspera High-Speed Transfer Server");
        assert_eq!(licence.version, "3.9.3.174419");
        assert_eq!(licence.settings.len(), 10);
        assert_eq!(licence.settings[9], "sync2");
    }

    #[test]
    fn products_lead_to_roles() {
        let connect = parse_licence(ASCP_A).settings;
        for (product, version, settings, expected) in [
            (
                "IBM Aspera High-Speed Transfer Server",
                "3.9.3.174419",
                &connect[..],
                Some("connect-server"),
            ),
            (
                "IBM Aspera High-Speed Transfer Server",
                "4.4.5",
                &connect,
                Some("high-speed-transfer-server"),
            ),
            (
                "Aspera Enterprise Server",
                "3.5.1",
                &[],
                Some("enterprise-server"),
            ),
            (
                "Aspera Enterprise Server",
                "3.5.1",
                &connect,
                Some("connect-server"),
            ),
            (
                "IBM Aspera High-Speed Transfer Endpoint",
                "4.1",
                &connect,
                Some("endpoint"),
            ),
            ("Aspera Point-to-Point", "3.7", &[], Some("endpoint")),
            ("IBM Aspera Proxy", "1.4.3", &[], Some("forward-proxy")),
            ("IBM Aspera Connect", "4.2.13", &[], Some("client")),
            ("IBM Aspera SDK", "1.1.1.52", &[], Some("client")),
            ("Something else", "1", &[], None),
        ] {
            assert_eq!(
                role(product, version, settings, false),
                expected,
                "{product} {version}"
            );
        }
        assert_eq!(
            role("IBM Aspera Proxy", "1.4.3", &[], true),
            Some("reverse-proxy")
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "(?s).{0,120}") {
            let _ = parse_licence(&text);
            let _ = role(&text, &text, &[], false);
        }
    }
}
