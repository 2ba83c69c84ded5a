use super::*;

const SSH: Place = Place::Element(&["server", "ssh_port"]);
const UDP: Place = Place::Element(&["default", "transfer", "protocol_options", "bind_udp_port"]);
const WEB: Place = Place::Attribute {
    element: "web",
    name: "SshPort",
};

/// In the shape of the published schema, with what people leave in it.
const FULL: &str = "<?xml version='1.0' encoding='UTF-8'?>
<!-- kept by hand, ask Mara -->
<CONF version=\"2\">
\t<default>
\t\t<transfer>
\t\t\t<protocol_options>
\t\t\t\t<bind_udp_port> 33002 <!-- was 33001 --></bind_udp_port>
\t\t\t</protocol_options>
\t\t</transfer>
\t</default>
\t<aaa><realms><realm><users><user><name>xfer</name>
\t\t<transfer><protocol_options><bind_udp_port>40000</bind_udp_port></protocol_options></transfer>
\t</user></users></realm></realms></aaa>
\t<trunks>
\t\t<trunk><id>1</id><on>false</on><mcast_port>55009</mcast_port></trunk>
\t\t<trunk id='x'><id>108</id><on>1</on><mcast_port>55002</mcast_port></trunk>
\t\t<trunk>
\t\t\t<id>109</id>
\t\t\t<on>true</on>
\t\t</trunk>
\t</trunks>
\t<server>
\t\t<!-- <ssh_port>2</ssh_port> -->
\t\t<ssh_port>22</ssh_port>
\t</server>
\t<WEB SshPort = '22'\tUdpPort=\"33001\" HttpFallback=\"no\"/>
</CONF>
";

fn one(text: &str, place: Place, value: &str) -> Result<String, EditError> {
    let edit = Edit {
        place,
        value: value.to_owned(),
    };
    edited(text, &[edit])
}

/// The lines that were taken out, and those that came in.
fn changed(before: &str, after: &str) -> (Vec<String>, Vec<String>) {
    let diff = similar::TextDiff::from_lines(before, after);
    let of = |tag| {
        let lines = diff.iter_all_changes().filter(|change| change.tag() == tag);
        lines.map(|change| change.value().to_owned()).collect()
    };
    (of(similar::ChangeTag::Delete), of(similar::ChangeTag::Insert))
}

#[test]
fn a_value_changes_and_nothing_else() {
    for (place, value, from, to) in [
        (
            SSH,
            "33001",
            "<ssh_port>22</ssh_port>",
            "<ssh_port>33001</ssh_port>",
        ),
        (UDP, "33001", "<bind_udp_port> 33002 <", "<bind_udp_port> 33001 <"),
        (WEB, "33001", "SshPort = '22'", "SshPort = '33001'"),
    ] {
        assert_eq!(one(FULL, place, value), Ok(FULL.replace(from, to)), "{place:?}");
    }
}

#[test]
fn every_trunk_that_is_on_gets_the_port() {
    let wanted = FULL
        .replace("<on>1</on><mcast_port>55002<", "<on>1</on><mcast_port>55001<")
        .replace(
            "\t\t\t<on>true</on>\n",
            "\t\t\t<on>true</on>\n\t\t\t<mcast_port>55001</mcast_port>\n",
        );
    assert_eq!(one(FULL, Place::Trunks, "55001"), Ok(wanted));
    assert_eq!(one("<CONF/>", Place::Trunks, "55001").as_deref(), Ok("<CONF/>"));
}

#[test]
fn what_says_the_same_already_is_left_alone() {
    assert_eq!(one(FULL, SSH, "22").as_deref(), Ok(FULL));
    let text = "<CONF><http_server><enable_http>1</enable_http></http_server></CONF>";
    let place = Place::Element(&["http_server", "enable_http"]);
    assert_eq!(one(text, place, "true").as_deref(), Ok(text));
    assert_ne!(one(text, place, "false").as_deref(), Ok(text));
    let text = "<CONF><server><ssh_port><![CDATA[33001]]></ssh_port></server></CONF>";
    assert_eq!(one(text, SSH, "33001").as_deref(), Ok(text));
}

#[test]
fn missing_sections_are_put_in_in_the_style_of_the_file() {
    let place = Place::Element(&["http_server", "http_port"]);
    let after = one(FULL, place, "8080").expect("edited");
    let (gone, come) = changed(FULL, &after);
    assert_eq!(gone, Vec::<String>::new());
    assert_eq!(
        come,
        [
            "\t<http_server>\n",
            "\t\t<http_port>8080</http_port>\n",
            "\t</http_server>\n"
        ]
    );
    let bare = "<CONF version=\"2\">\r\n    <server/>\r\n    <!-- end -->\r\n</CONF>\r\n";
    let after = one(bare, SSH, "33001").expect("edited");
    assert_eq!(
        after,
        "<CONF version=\"2\">\r\n    <server>\r\n        <ssh_port>33001</ssh_port>\r\n    </server>\r\n    <!-- end -->\r\n</CONF>\r\n"
    );
    let both = [
        Edit {
            place: SSH,
            value: "33001".into(),
        },
        Edit {
            place: UDP,
            value: "33002".into(),
        },
    ];
    for (text, wanted) in [
        (
            "<CONF/>",
            "<CONF><server><ssh_port>33001</ssh_port></server><default><transfer><protocol_options>\
             <bind_udp_port>33002</bind_udp_port></protocol_options></transfer></default></CONF>",
        ),
        (
            "<Conf><server ></server><default><transfer x='1'/></default></Conf>",
            "<Conf><server ><ssh_port>33001</ssh_port></server><default><transfer x='1'><protocol_options>\
             <bind_udp_port>33002</bind_udp_port></protocol_options></transfer></default></Conf>",
        ),
        (
            "\u{feff}<CONF><server>\n<ssh_port  />\n</server>\n<default><transfer><protocol_options><bind_udp_port>\n \
             </bind_udp_port></protocol_options></transfer></default></CONF>",
            "\u{feff}<CONF><server>\n<ssh_port>33001</ssh_port>\n</server>\n<default><transfer><protocol_options>\
             <bind_udp_port>33002</bind_udp_port></protocol_options></transfer></default></CONF>",
        ),
    ] {
        assert_eq!(edited(text, &both).as_deref(), Ok(wanted));
    }
}

#[test]
fn a_section_that_stands_twice_is_changed_in_both_places() {
    let text = "<CONF>\n<server><ssh_port>22</ssh_port></server>\n<server><ssh_port>2222</ssh_port></server>\n</CONF>";
    let after = one(text, SSH, "33001").expect("edited");
    assert_eq!(after.matches("<ssh_port>33001</ssh_port>").count(), 2, "{after}");
}

#[test]
fn line_ends_and_other_bytes_stay() {
    let dos = FULL.replace('\n', "\r\n").replace("Mara", "M\u{e1}ra");
    let after = one(&dos, SSH, "33001").expect("edited");
    assert_eq!(after, dos.replace("<ssh_port>22<", "<ssh_port>33001<"));
    let new = one(&dos, Place::Element(&["http_server", "http_port"]), "8080").expect("edited");
    assert_eq!(new.matches('\n').count(), new.matches("\r\n").count());
}

#[test]
fn a_file_that_is_broken_is_not_touched_and_the_line_is_named() {
    for (text, line) in [
        ("<CONF>\n<server>\n<ssh_port>22</ssh_port>\n</CONF>\n", 4),
        ("<CONF>\n<server><ssh_port>22</server></ssh_port>\n</CONF>\n", 2),
        ("<CONF>\n<server>\n", 2),
        ("<CONF>\n<WEB SshPort=22/>\n</CONF>", 2),
        ("<CONF>\n<WEB SshPort=\"22\" SshPort=\"23\"/>\n</CONF>", 2),
        ("<CONF/>\n<CONF/>\n", 2),
        ("<CONF>\n<server><ssh_port><!-- </ssh_port></server>\n</CONF>", 2),
        ("", 1),
        ("port = 22\n", 1),
        ("<CONF></CONF>\nmore\n", 1),
        ("<html></html>", 1),
        (
            "<CONF>\n<server><ssh_port>2<!-- -->2</ssh_port></server></CONF>",
            2,
        ),
        ("<CONF>\n<server><ssh_port><x/></ssh_port></server></CONF>", 2),
    ] {
        let error = one(text, SSH, "33001").expect_err(text).to_string();
        assert!(error.starts_with(&format!("line {line}: ")), "{text:?}: {error}");
    }
}

use proptest::prelude::*;

proptest! {
    /// Whatever is read is either refused or gives a file that holds the value and can be changed back.
    #[test]
    fn any_text_is_refused_or_holds_the_value(text in "(<CONF>|</CONF>|<server>|</server>|<server/>|<ssh_port>|</ssh_port>|<ssh_port/>|22|&amp;|<!-- c -->|<WEB SshPort='22'/>|\r?\n| |é){0,14}") {
        for text in [text.clone(), format!("<CONF>{text}</CONF>")] {
            if let Ok(after) = one(&text, SSH, "33001") {
                prop_assert_eq!(one(&after, SSH, "33001"), Ok(after.clone()));
                let back = one(&after, SSH, "22");
                prop_assert!(back.is_ok(), "{:?}", after);
            }
        }
    }
}
