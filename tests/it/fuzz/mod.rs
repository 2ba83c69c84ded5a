//! Every reader of foreign text on its corpus, on thousands of mutations of it, and on texts made to take long. A long
//! run under libFuzzer: `bash tests/fuzz/run TARGET`.

mod mutate;
mod targets;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use mutate::Mutator;
use targets::{TARGETS, Target};

/// Mutated inputs of each target, and the processor time after which no more are tried.
const INPUTS: usize = 3_000;
const BUDGET: Duration = Duration::from_millis(400);
/// Whatever the input, a reader has answered after so much processor time, without optimisation.
const LONGEST: Duration = Duration::from_secs(3);

fn folder(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz/corpus")
        .join(target.name)
}

fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder(target))
        .unwrap_or_else(|e| panic!("{}: {e}", folder(target).display()))
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    assert!(paths.len() >= 3, "{} has no corpus", target.name);
    paths
        .iter()
        .map(|path| fs::read(path).expect("an input"))
        .collect()
}

/// Processor time of this thread: a busy host does not add to it.
fn spent() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).expect("no time before its start"),
        u32::try_from(time.tv_nsec).expect("below a second"),
    )
}

/// Runs one input; a promise that it breaks is told with the input, ready to go into the corpus.
fn feed(target: &Target, input: &[u8]) {
    let start = spent();
    let ended = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    let took = spent() - start;
    let slow = took > LONGEST;
    if ended.is_err() || slow {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.input", target.name));
        fs::write(&path, input).expect("written");
        panic!(
            "{} broke a promise (after {took:?}) with the input in {}",
            target.name,
            path.display()
        );
    }
}

fn check(name: &str) {
    let target = TARGETS
        .iter()
        .find(|target| target.name == name)
        .expect("a target");
    let corpus = corpus(target);
    for input in &corpus {
        feed(target, input);
    }
    let mut mutator = Mutator::new(name, &corpus);
    let limit = spent() + BUDGET;
    for _ in 0..INPUTS {
        feed(target, &mutator.input());
        if spent() > limit {
            break;
        }
    }
    let limit = spent() + BUDGET;
    for input in mutator.endless() {
        feed(target, &input);
        if spent() > limit {
            break;
        }
    }
}

macro_rules! readers {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            check(stringify!($name));
        })*

        #[test]
        fn every_target_is_run_and_has_a_corpus() {
            let run = [$(stringify!($name)),*];
            let known: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(run[..], known[..]);
            let folders = fs::read_dir(folder(&TARGETS[0]).parent().expect("a folder")).expect("the corpus");
            assert_eq!(folders.count(), TARGETS.len(), "a corpus without a target");
        }
    };
}

readers! {
    nft_json nft_text
    iptables_save iptables_file iptables_kept
    ufw_rules ufw_tuple ufw_live ufw_settings
    firewalld_xml firewalld_patch firewalld_rich firewalld_list
    sshd_config sshd_include sshd_effective sshd_command_line sshd_socket sshd_neighbours
    proc_net processes ip_json units aspera_conf aspera_edit
    journal answers catalogue recording redact
    keys
}

#[test]
fn a_broken_promise_is_found() {
    let broken = Target {
        name: "broken",
        run: |input| assert!(!input.contains(&b'!'), "planted"),
    };
    let corpus = vec![b"one".to_vec(), b"two!".to_vec()];
    let mut mutator = Mutator::new("broken", &corpus);
    let found = catch_unwind(AssertUnwindSafe(|| {
        for _ in 0..100 {
            feed(&broken, &mutator.input());
        }
    }));
    assert!(found.is_err());
}
