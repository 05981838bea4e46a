//! Elements between commas: of a list, and of an object.

use std::ops::Range;

use super::splice::Splices;

/// Takes the elements of `gone` out of those of a list or an object, with their commas.
/// `elements`: every one, in its order; `end`: where the bracket is that closes them.
pub(super) fn remove(splices: &mut Splices<'_>, elements: &[Range<usize>], gone: &[usize], end: usize) {
    let comma = |splices: &Splices<'_>, element: &Range<usize>| {
        let at = splices.skip_trivia(element.end);
        (at < end && splices.text.as_bytes().get(at) == Some(&b',')).then_some(at)
    };
    let trailing = elements.last().and_then(|last| comma(splices, last)).is_some();
    let kept = (0..elements.len()).rev().find(|index| !gone.contains(index));
    for &index in gone {
        let element = &elements[index];
        match comma(splices, element) {
            // A comment between an element and its comma is rare; the comma then goes by itself.
            Some(at) if splices.text[element.end..at].trim().is_empty() => splices.remove(element.start..at + 1),
            Some(at) => {
                splices.replace(at..at + 1, "");
                splices.replace(element.clone(), "");
            }
            None => splices.remove(element.clone()),
        }
    }
    // What is last now has a comma behind it only if what was last had one.
    if let Some(last) = kept.filter(|&last| last + 1 < elements.len() && !trailing)
        && let Some(at) = comma(splices, &elements[last])
    {
        let between = &splices.text[at + 1..elements[last + 1].start];
        let spaces = if between.trim_start_matches([' ', '\t']).is_empty() { between.len() } else { 0 };
        splices.replace(at..at + 1 + spaces, "");
    }
}

/// Adds elements behind the last of a list.
pub(super) fn append(splices: &mut Splices<'_>, elements: &[Range<usize>], end: usize, new: &[String]) {
    let Some(last) = elements.last() else {
        // Comments may stand in an empty list: the elements come behind them.
        splices.replace(end..end, new.join(", "));
        return;
    };
    let at = splices.skip_trivia(last.end);
    let comma = at < end && splices.text.as_bytes().get(at) == Some(&b',');
    let Some(indent) = splices.indent(last.start) else {
        let behind = if comma { at + 1 } else { last.end };
        let text = new.join(", ");
        splices.replace(behind..behind, if comma { format!(" {text},") } else { format!(", {text}") });
        return;
    };
    if !comma {
        splices.replace(last.end..last.end, ",");
    }
    let told = if comma { at + 1 } else { last.end };
    let line = splices.line_after(told);
    // The bracket may stand in the line of the last element.
    let behind = if line > end { told } else { line };
    let mut lines = String::new();
    for (index, element) in new.iter().enumerate() {
        let ends = if comma || index + 1 < new.len() { "," } else { "" };
        lines.push_str(indent);
        lines.push_str(element);
        lines.push_str(ends);
        lines.push_str(splices.line_end());
    }
    if splices.text[..behind].ends_with('\n') {
        splices.replace(behind..behind, lines);
    } else {
        let lines = format!("{}{}", splices.line_end(), lines.trim_end());
        splices.replace(behind..behind, lines);
    }
}
