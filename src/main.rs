//! The program: everything else is in the library.

use faspwall::lab::{self, Order};
use faspwall::system::real::RealSystem;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let own = |words: &[&str]| words.iter().map(|&w| w.to_owned()).collect::<Vec<String>>();
    let result = match words.as_slice() {
        ["lab-inside", rest @ ..] => lab::inside(&RealSystem, &own(rest)),
        ["lab", "--list"] => lab::run(&RealSystem, &Order::List),
        ["lab", "enter", "--", rest @ ..] => lab::run(&RealSystem, &Order::Enter { command: own(rest) }),
        ["lab", "enter"] => lab::run(&RealSystem, &Order::Enter { command: vec![] }),
        ["lab", "--", rest @ ..] => lab::run(
            &RealSystem,
            &Order::Start {
                scenario: None,
                command: own(rest),
            },
        ),
        ["lab"] => lab::run(
            &RealSystem,
            &Order::Start {
                scenario: None,
                command: own(&["faspwall"]),
            },
        ),
        ["lab", name] => lab::run(
            &RealSystem,
            &Order::Start {
                scenario: Some((*name).to_owned()),
                command: own(&["faspwall"]),
            },
        ),
        _ => return println!("faspwall"),
    };
    match result {
        Ok(code) => std::process::exit(code.into()),
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(error.exit_code().into())
        }
    }
}
