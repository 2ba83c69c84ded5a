use proptest::prelude::*;

use super::*;

/// A server with everything that concerns ports, in the shape of the published schema.
const FULL: &str = r#"<?xml version='1.0' encoding='UTF-8'?>
<CONF version="2">
  <default>
    <transfer>
      <protocol_options>
        <bind_ip_address/>
        <bind_udp_port>33001</bind_udp_port>
        <udp_port_reuse>false</udp_port_reuse>
      </protocol_options>
    </transfer>
  </default>
  <aaa><realms><realm><users><user>
    <name>xfer</name>
    <transfer><protocol_options><bind_udp_port>40000</bind_udp_port></protocol_options></transfer>
  </user></users></realm></realms></aaa>
  <trunks>
    <trunk><id>1</id><on>false</on><mcast_port>55009</mcast_port></trunk>
    <trunk><id>108</id><on>true</on><mcast_port>55002</mcast_port></trunk>
  </trunks>
  <central_server><address>127.0.0.1</address><port>40001</port></central_server>
  <http_server>
    <!-- <http_port>1</http_port> -->
    <http_port>8081</http_port>
    <enable_http>1</enable_http><enable_https>FALSE</enable_https>
  </http_server>
  <server>
    <ssh_port>33001</ssh_port>
    <https_port>9092</https_port>
  </server>
</CONF>
"#;

#[test]
fn ports_of_a_full_file_are_read() {
    let conf = Conf::parse(FULL);
    assert_eq!(
        conf,
        Conf {
            udp_port: Some(33001),
            udp_port_reuse: Some(false),
            ssh_port: Some(33001),
            http: Some((8081, true)),
            https: Some((8443, false)),
            web_udp_port: None,
            web_ssh_port: None,
            web_http_port: None,
            web_https_port: None,
            vlink_port: Some(55002),
            vlink_id: Some("108".into()),
            reverse_proxy: false,
            problems: vec![],
        }
    );
}

#[test]
fn a_minimal_file_says_nothing() {
    assert_eq!(Conf::parse("<CONF/>"), Conf::default());
    assert_eq!(Conf::parse(""), Conf::default());
}

#[test]
fn the_attributes_of_the_old_web_pages_are_read() {
    let text = "<CONF version=\"2\">\n<WEB\n  SshPort = \"33001\"\n  UdpPort = '33002'\n  HttpFallback=\"yes\"\n  \
                HttpFallbackPort=\"8080\"\n  HttpsFallbackPort=\"8443\"\n/>\n</CONF>";
    let conf = Conf::parse(text);
    assert_eq!((conf.web_ssh_port, conf.web_udp_port), (Some(33001), Some(33002)));
    assert_eq!((conf.http, conf.https), (Some((8080, true)), Some((8443, true))));
    assert_eq!(
        (conf.web_http_port, conf.web_https_port),
        (Some(8080), Some(8443))
    );
    let off = Conf::parse(&text.replace("\"yes\"", "\"no\""));
    assert_eq!(off.http, Some((8080, false)));
}

#[test]
fn what_is_wrong_is_told_with_its_line_and_the_rest_is_read() {
    let text = "<CONF>\n<http_server>\n<http_port>80x</http_port>\n<enable_http>maybe</enable_http>\n\
                <enable_https>on</enable_https>\n</http_server>\n<server><ssh_port>70000</ssh_port></server>\n</CONF>";
    let conf = Conf::parse(text);
    assert_eq!(conf.http, Some((8080, false)));
    assert_eq!(conf.https, Some((8443, true)));
    assert_eq!(
        conf.problems,
        [
            "line 3: <http_port> is \"80x\", not a port from 1 to 65535",
            "line 4: <enable_http> is \"maybe\", not true or false",
            "line 7: <ssh_port> is \"70000\", not a port from 1 to 65535",
        ]
    );
}

#[test]
fn forgotten_and_superfluous_end_tags_are_told() {
    let text = "<CONF>\n<default><transfer>\n<protocol_options>\n<bind_udp_port>33003</bind_udp_port>\n</transfer></default>\n\
                </nonsense>\n<server><ssh_port>33001</ssh_port></server>\n";
    let conf = Conf::parse(text);
    assert_eq!((conf.udp_port, conf.ssh_port), (Some(33003), Some(33001)));
    assert_eq!(
        conf.problems,
        [
            "line 3: <protocol_options> is not closed before </transfer> in line 5",
            "line 6: </nonsense> closes nothing",
            "line 1: <conf> is never closed",
        ]
    );
}

#[test]
fn a_broken_tag_ends_the_reading_with_its_line() {
    let conf = Conf::parse("<CONF>\n<server><ssh_port>33001</ssh_port></server>\n<trunks");
    assert_eq!(conf.ssh_port, Some(33001));
    assert!(conf.problems[0].starts_with("line 3: "), "{:?}", conf.problems);
}

#[test]
fn a_trunk_without_a_port_uses_the_usual_one() {
    let text = "<CONF><trunks><trunk><on>true</on><mcast_port>0</mcast_port></trunk></trunks></CONF>";
    assert_eq!(Conf::parse(text).vlink_port, Some(55001));
    assert_eq!(Conf::parse(&text.replace("true", "false")).vlink_port, None);
}

#[test]
fn the_manifest_names_the_product() {
    let text = "<product><name>IBM Aspera SDK</name><version>1.1.1.52</version></product>";
    assert_eq!(manifest(text), ("IBM Aspera SDK".into(), "1.1.1.52".into()));
    assert_eq!(manifest("no XML at all"), (String::new(), String::new()));
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "(?s)[<>/a-z=\"' &;!\\[\\]\u{e9}\n?-]{0,160}") {
        let _ = Conf::parse(&text);
        let _ = manifest(&text);
    }

    #[test]
    fn a_damaged_file_is_still_answered(cut in 0usize..1400, insert in "[<>/&\"a]{0,4}") {
        let at = (0..=cut.min(FULL.len())).rev().find(|i| FULL.is_char_boundary(*i)).unwrap_or(0);
        let text = format!("{}{insert}{}", &FULL[..at], &FULL[at..]);
        let _ = Conf::parse(&text);
    }

    #[test]
    fn every_port_is_read_back(port in 1u16..) {
        let conf = Conf::parse(&format!("<CONF><server><ssh_port> {port}\n</ssh_port></server></CONF>"));
        prop_assert_eq!(conf.ssh_port, Some(port));
    }
}
