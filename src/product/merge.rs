//! Taking back what was changed in a file that others have gone on writing into.

use similar::{ChangeTag, TextDiff};

/// `now` with the lines of `before` in the places where `after` had changed them. Where somebody has changed such a line
/// since, it stays as it is; so does everything that others wrote.
pub fn taken_back(before: &str, after: &str, now: &str) -> String {
    let [old, ours, theirs] = [before, after, now].map(lines);
    // For each line of `after`, the line of `now` that it has become.
    let mut became: Vec<Option<usize>> = vec![None; ours.len()];
    for change in TextDiff::from_slices(&ours, &theirs).iter_all_changes() {
        if let (ChangeTag::Equal, Some(from), Some(to)) =
            (change.tag(), change.old_index(), change.new_index())
            && let Some(place) = became.get_mut(from)
        {
            *place = Some(to);
        }
    }
    let mut lines: Vec<String> = theirs.into_iter().map(str::to_owned).collect();
    for operation in TextDiff::from_slices(&old, &ours).ops() {
        let (tag, was, is) = operation.as_tag_tuple();
        if tag == similar::DiffTag::Equal {
            continue;
        }
        let places: Option<Vec<usize>> = is.map(|line| became.get(line).copied().flatten()).collect();
        let Some(places) = places else { continue };
        let Some(first) = places.first() else { continue };
        for place in &places {
            lines[*place].clear();
        }
        lines[*first] = old[was].concat();
    }
    lines.concat()
}

/// A carriage return alone ends no line.
fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

#[cfg(test)]
mod tests {
    use super::taken_back;

    const BEFORE: &str = "<CONF>\n<server>\n<ssh_port>22</ssh_port>\n</server>\n<a/>\n</CONF>\n";
    const AFTER: &str = "<CONF>\n<server>\n<ssh_port>33001</ssh_port>\n</server>\n<a/>\n<http_server>\n<http_port>1</http_port>\n</http_server>\n</CONF>\n";

    #[test]
    fn our_lines_go_back_and_those_of_others_stay() {
        assert_eq!(taken_back(BEFORE, AFTER, AFTER), BEFORE);
        let now = AFTER.replace("<a/>", "<b>x</b>\n<a>1</a>");
        assert_eq!(
            taken_back(BEFORE, AFTER, &now),
            BEFORE.replace("<a/>", "<b>x</b>\n<a>1</a>")
        );
    }

    #[test]
    fn a_line_that_somebody_changed_since_is_theirs() {
        let now = AFTER.replace("33001", "2222");
        assert_eq!(taken_back(BEFORE, AFTER, &now), BEFORE.replace("22<", "2222<"));
        let twice = "a\nx\nb\nx\n";
        assert_eq!(taken_back("a\nx\nb\ny\n", twice, twice), "a\nx\nb\ny\n");
        assert_eq!(taken_back("", "", "theirs\n"), "theirs\n");
        assert_eq!(taken_back("a\rb\n", "a\rc\n", "a\rc\n"), "a\rb\n");
    }
}
