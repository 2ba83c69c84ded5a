//! The file that nft loads at boot, with the files that it includes in their places.

use std::path::Path;

use crate::backend::nftables::boot_file::{included, means};
use crate::system::System;

/// How deep includes are followed, as nft does.
const DEPTH: usize = 16;
/// How many files are read.
const FILES: usize = 64;

/// The whole text; `None` where nothing is included. What lies outside of `/etc`, or is not there, stays an include line.
pub fn whole(system: &dyn System, content: &str) -> Option<String> {
    let mut left = FILES;
    let mut text = String::new();
    put(system, content, DEPTH, &mut left, &mut text);
    (left < FILES).then_some(text)
}

fn put(system: &dyn System, content: &str, depth: usize, left: &mut usize, text: &mut String) {
    for line in content.lines() {
        let files = included(line).and_then(|pattern| files(system, &pattern));
        match files.filter(|_| depth > 0) {
            Some(files) if files.len() < *left => {
                *left = left.saturating_sub(files.len() + 1);
                for (_, content) in files {
                    put(system, &content, depth - 1, left, text);
                }
            }
            _ => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
}

/// The files of an include line with their texts. Those of ours are no part of what the host has without us.
fn files(system: &dyn System, pattern: &str) -> Option<Vec<(String, String)>> {
    let path = Path::new(pattern);
    let (dir, name) = (path.parent()?, path.file_name()?.to_str()?);
    let plain = !dir.to_str()?.contains('*') && !pattern.contains(['?', '[', '$']);
    if !plain || !path.starts_with("/etc") || name.starts_with("faspwall") {
        return None;
    }
    let paths: Vec<String> = if name.contains('*') {
        let all = system.list(dir).into_iter();
        let all = all.filter_map(|path| Some(path.to_str()?.to_owned()));
        all.filter(|path| means(pattern, path) && !path.contains("/faspwall"))
            .collect()
    } else {
        vec![pattern.to_owned()]
    };
    let read = |path: String| Some((path.clone(), system.read_text(Path::new(&path))?));
    paths.into_iter().map(read).collect()
}
