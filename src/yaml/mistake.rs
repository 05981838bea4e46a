//! What is wrong, and where: [`Mistake`], and the [`Report`] that collects them.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

/// A place in a file, both counted from 1; the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

impl Position {
    /// The start of a file.
    pub const START: Self = Self { line: 1, column: 1 };

    /// From a line counted from 1 and a column counted from 0, as the parser gives them.
    pub(super) fn new(line: usize, column_from_0: usize) -> Self {
        let clamp = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self { line: clamp(line).max(1), column: clamp(column_from_0).saturating_add(1) }
    }

    /// The place right behind `text`, if `text` is the start of the file.
    pub(super) fn after(text: &str) -> Self {
        let breaks = text.matches(['\n', '\r']).count() - text.matches("\r\n").count();
        let last = text.rsplit(['\n', '\r']).next().unwrap_or_default();
        Self::new(breaks + 1, last.chars().count())
    }
}

/// One thing that is wrong, or worth a warning, in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mistake {
    /// The file, as it was named to the reader.
    pub file: Arc<str>,
    /// Where in the file.
    #[serde(flatten)]
    pub position: Position,
    /// The key's path, `services[2].endpoints[0]`; empty for the file as a whole.
    pub path: String,
    /// What was found, and what is accepted.
    pub message: String,
}

impl fmt::Display for Mistake {
    /// `conf/edge.yaml:14:9: services[2].endpoints[0]: "10.0.0.5" has no scheme; accepted: …`
    ///
    /// One line, whatever the keys of the file are: it goes to terminals and logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, position, path, message } = self;
        write!(f, "{file}:{}:{}: ", position.line, position.column)?;
        if !path.is_empty() {
            write!(f, "{}: ", OneLine(path))?;
        }
        OneLine(message).fmt(f)
    }
}

/// A text with its control characters escaped.
struct OneLine<'a>(&'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.0.split_inclusive(char::is_control) {
            let text = part.trim_end_matches(char::is_control);
            write!(f, "{text}{}", part[text.len()..].escape_debug())?;
        }
        Ok(())
    }
}

/// Collects the findings of one reading of one file.
#[derive(Debug)]
pub struct Report {
    file: Arc<str>,
    mistakes: RefCell<Vec<Mistake>>,
    warnings: RefCell<Vec<Mistake>>,
}

impl Report {
    pub(super) fn new(file: &str) -> Self {
        Self { file: file.into(), mistakes: RefCell::default(), warnings: RefCell::default() }
    }

    /// Notes something that makes the file unusable.
    pub fn mistake(&self, position: Position, path: &str, message: impl Into<String>) {
        self.mistakes.borrow_mut().push(self.note(position, path, message.into()));
    }

    /// Notes something that the operator should know, and that stops nothing.
    pub fn warning(&self, position: Position, path: &str, message: impl Into<String>) {
        self.warnings.borrow_mut().push(self.note(position, path, message.into()));
    }

    /// How many mistakes there are so far: a mark for [`Report::take_since`].
    #[must_use]
    pub fn mark(&self) -> usize {
        self.mistakes.borrow().len()
    }

    /// Takes the mistakes out that were noted since `mark`, for a part of the file whose mistakes cost only itself.
    #[must_use]
    pub fn take_since(&self, mark: usize) -> Vec<Mistake> {
        let mut mistakes = self.mistakes.borrow_mut();
        let mark = mark.min(mistakes.len());
        mistakes.split_off(mark)
    }

    /// Takes the mistakes out that concern `path` and what is below it, such as keys set twice, which are noted when the
    /// file is parsed.
    #[must_use]
    pub fn take_under(&self, path: &str) -> Vec<Mistake> {
        let mut mistakes = self.mistakes.borrow_mut();
        let under = |mistake: &Mistake| {
            let rest = mistake.path.strip_prefix(path);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        mistakes.extract_if(.., |mistake| under(mistake)).collect()
    }

    /// Puts mistakes back that were taken.
    pub fn put_back(&self, taken: impl IntoIterator<Item = Mistake>) {
        self.mistakes.borrow_mut().extend(taken);
    }

    fn note(&self, position: Position, path: &str, message: String) -> Mistake {
        Mistake { file: Arc::clone(&self.file), position, path: path.to_owned(), message }
    }

    /// Mistakes and warnings, each in the order of the file; what an alias repeats is said once.
    pub(super) fn into_findings(self) -> (Vec<Mistake>, Vec<Mistake>) {
        let in_order = |list: RefCell<Vec<Mistake>>| {
            let mut list = list.into_inner();
            list.sort_by(|a, b| (a.position, &a.message, &a.path).cmp(&(b.position, &b.message, &b.path)));
            list.dedup_by(|a, b| a.position == b.position && a.message == b.message);
            list
        };
        (in_order(self.mistakes), in_order(self.warnings))
    }
}
