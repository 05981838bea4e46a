//! Cuts in a text, and the lines around them.

use std::ops::Range;

use crate::inventory::wrangler::text::{Syntax, comments};

/// Cuts of one text. They do not meet.
pub(super) struct Splices<'t> {
    pub(super) text: &'t str,
    comments: Vec<Range<usize>>,
    cuts: Vec<(Range<usize>, String)>,
}

impl<'t> Splices<'t> {
    pub(super) fn of(text: &'t str, syntax: Syntax) -> Self {
        Self { text, comments: comments(text, syntax), cuts: Vec::new() }
    }

    pub(super) fn replace(&mut self, range: Range<usize>, with: impl Into<String>) {
        self.cuts.push((range, with.into()));
    }

    /// How this text ends its lines.
    pub(super) fn line_end(&self) -> &'static str {
        if self.text.contains("\r\n") { "\r\n" } else { "\n" }
    }

    /// Where the line of `at` begins, behind a byte order mark.
    pub(super) fn line_start(&self, at: usize) -> usize {
        let start = self.text[..at].rfind('\n').map_or(0, |before| before + 1);
        if start == 0 && self.text.starts_with('\u{feff}') { '\u{feff}'.len_utf8().min(at) } else { start }
    }

    /// Behind the line of `at`, its end included.
    pub(super) fn line_after(&self, at: usize) -> usize {
        self.text[at..].find('\n').map_or(self.text.len(), |end| at + end + 1)
    }

    /// What stands before `at` in its line, if that is white space alone.
    pub(super) fn indent(&self, at: usize) -> Option<&'t str> {
        let before = &self.text[self.line_start(at)..at];
        before.chars().all(|c| c == ' ' || c == '\t').then_some(before)
    }

    /// The first byte behind `at` that is neither white space nor comment.
    pub(super) fn skip_trivia(&self, mut at: usize) -> usize {
        loop {
            let rest = &self.text[at..];
            at += rest.len() - rest.trim_start().len();
            match self.comments.iter().find(|comment| comment.start == at) {
                Some(comment) => at = comment.end,
                None => return at,
            }
        }
    }

    /// Whether nothing but white space and comments stands in `range`.
    pub(super) fn is_trivia(&self, range: Range<usize>) -> bool {
        self.skip_trivia(range.start) >= range.end
    }

    fn comments_in(&self, range: &Range<usize>) -> Vec<&'t str> {
        let inside = self.comments.iter().filter(|comment| comment.start >= range.start && comment.end <= range.end);
        inside.map(|comment| &self.text[comment.clone()]).collect()
    }

    /// Takes `range` away: with its lines, where it has them for itself; the comments in them stay, each on its own line.
    pub(super) fn remove(&mut self, range: Range<usize>) {
        let after = self.line_after(range.end);
        let alone = self.indent(range.start).is_some() && self.is_trivia(range.end..after);
        if let (true, Some(indent)) = (alone, self.indent(range.start)) {
            let lines = self.line_start(range.start)..self.end_of_trivia_lines(range.end);
            let kept: String =
                self.comments_in(&lines).into_iter().flat_map(|comment| [indent, comment, self.line_end()]).collect();
            self.replace(lines, kept);
            return;
        }
        let kept = self.comments_in(&range).join(" ");
        // A comment that goes to the end of its line must not swallow what follows.
        let kept = if kept.starts_with("//") || kept.starts_with('#') || kept.contains("//") {
            format!("{kept}{}", self.line_end())
        } else {
            kept
        };
        let spaces = self.text[range.end..].len() - self.text[range.end..].trim_start_matches([' ', '\t']).len();
        self.replace(range.start..range.end + spaces, kept);
    }

    /// Behind the line in which `at` and the comments after it end.
    fn end_of_trivia_lines(&self, at: usize) -> usize {
        let mut end = self.line_after(at);
        while let Some(comment) = self.comments.iter().find(|comment| comment.start < end && comment.end > end) {
            end = self.line_after(comment.end);
        }
        end
    }

    /// The text with every cut made.
    pub(super) fn apply(mut self) -> Result<String, String> {
        self.cuts.sort_by_key(|(range, _)| (range.start, range.end));
        let mut result = String::with_capacity(self.text.len());
        let mut at = 0;
        for (range, with) in &self.cuts {
            match self.text.get(at..range.start) {
                Some(kept) => result.push_str(kept),
                // What goes twice goes once.
                None if with.is_empty() => {}
                None => return Err("its edits would meet each other".to_owned()),
            }
            result.push_str(with);
            at = at.max(range.end);
        }
        result.push_str(&self.text[at..]);
        Ok(result)
    }
}
