//! From text to the tree, in one pass over the parser's events.

use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::Rc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, Tag};

use super::mistake::{Position, Report};
use super::node::{Entry, Kind, MAX_DEPTH, MAX_REPEATED, Node, Scalar, is_null};

/// The tree of `text`, or `None` where the reading had to stop; the reason is in `report`.
pub(super) fn parse(text: &str, report: &Report) -> Option<Rc<Node>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Some((index, found)) = text.char_indices().find(|&(_, c)| is_refused_control(c)) {
        // The parser takes NUL for the end of the file, so it must never see one.
        let place = Position::after(&text[..index]);
        report.mistake(place, "", format!("the control character U+{:04X}; accepted: text", u32::from(found)));
        return None;
    }
    let end = Position::after(text);
    let (open, anchors) = (Vec::new(), HashMap::new());
    let mut builder = Builder { report, end, open, anchors, repeated: 0, root: None, documents: 0 };
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        match event {
            Ok((event, span)) => builder.take(event, span).ok()?,
            Err(error) => {
                let place = builder.place(*error.marker());
                report.mistake(place, "", format!("not YAML: {}{}", error.info(), tab_hint(text, place)));
                return None;
            }
        }
    }
    builder.root.or_else(|| Some(Rc::new(Node::empty())))
}

/// Control characters that YAML forbids (YAML 1.2.2 §5.1).
fn is_refused_control(c: char) -> bool {
    matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{7f}')
}

/// A word on tabs, where the line at `place` or the next one is indented with one: the commonest cause, and invisible.
fn tab_hint(text: &str, place: Position) -> String {
    let indented = |line: &str| line.chars().take_while(|c| c.is_whitespace()).any(|c| c == '\t');
    let near = (place.line..).zip(text.lines().skip(place.line as usize - 1)).take(2);
    let tab = near.into_iter().find(|(_, line)| indented(line));
    tab.map(|(number, _)| format!("; line {number} is indented with a tab, accepted: spaces")).unwrap_or_default()
}

/// The reading cannot go on; the reason has been reported.
struct Stop;

/// A section or list whose end has not come yet.
struct Open {
    at: Position,
    anchor: usize,
    height: usize,
    body: Body,
}

enum Body {
    List(Vec<Rc<Node>>),
    Map { entries: Vec<Entry>, seen: HashMap<Box<str>, Position>, merged: Vec<Rc<Node>>, key: Key },
}

/// The key whose value comes next.
enum Key {
    /// None: a key comes next.
    Awaited,
    Text(Box<str>, Position),
    Merge,
    /// Reported already; its value is dropped.
    Refused,
}

struct Builder<'r> {
    report: &'r Report,
    /// Behind the last character.
    end: Position,
    open: Vec<Open>,
    anchors: HashMap<usize, Rc<Node>>,
    /// Values that aliases have repeated.
    repeated: usize,
    root: Option<Rc<Node>>,
    documents: usize,
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Stop> {
        let at = self.place(span.start);
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    self.report.mistake(at, "", "a second document; accepted: one document in a file");
                    return Err(Stop);
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let plain = self.is_plain(style, tag.as_deref(), at);
                let is_null = style == ScalarStyle::Plain && tag.is_none() && is_null(&text);
                let kind = if is_null { Kind::Null } else { Kind::Scalar(Scalar { text: text.into(), plain }) };
                self.complete(Rc::new(Node { at, kind, height: 0, size: 1 }), anchor)?;
            }
            Event::SequenceStart(anchor, tag) => {
                self.begin(at, anchor, tag, Body::List(Vec::new()))?;
            }
            Event::MappingStart(anchor, tag) => {
                let (entries, seen, merged) = (Vec::new(), HashMap::new(), Vec::new());
                self.begin(at, anchor, tag, Body::Map { entries, seen, merged, key: Key::Awaited })?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.end()?,
            Event::Alias(anchor) => {
                if let Some(node) = self.anchors.get(&anchor).map(Rc::clone) {
                    self.repeat(&node, at)?;
                    self.complete(node, 0)?;
                } else {
                    self.report.mistake(
                        at,
                        &self.path(),
                        "an alias of what holds it; accepted: an alias of a value that is complete",
                    );
                    return Err(Stop);
                }
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    /// Where `marker` is. The parser puts the end of a file that does not end its last line on the line after it.
    fn place(&self, marker: Marker) -> Position {
        Position::new(marker.line(), marker.col()).min(self.end)
    }

    /// Whether a scalar may be a number or a truth value; a tag that is not of the core schema is a mistake.
    fn is_plain(&self, style: ScalarStyle, tag: Option<&Tag>, at: Position) -> bool {
        match tag {
            None => style == ScalarStyle::Plain,
            Some(tag) if tag.is_yaml_core_schema() => tag.suffix != "str",
            Some(tag) => {
                self.refuse_tag(tag, at);
                false
            }
        }
    }

    fn refuse_tag(&self, tag: &Tag, at: Position) {
        self.report.mistake(at, &self.path(), format!("the tag `{tag}`; accepted: no tag"));
    }

    fn begin(&mut self, at: Position, anchor: usize, tag: Option<Cow<'_, Tag>>, body: Body) -> Result<(), Stop> {
        if let Some(tag) = tag.filter(|tag| !tag.is_yaml_core_schema()) {
            self.refuse_tag(&tag, at);
        }
        if self.open.len() >= MAX_DEPTH {
            return self.too_deep(at);
        }
        self.open.push(Open { at, anchor, height: 0, body });
        Ok(())
    }

    fn too_deep(&self, at: Position) -> Result<(), Stop> {
        self.report.mistake(at, "", format!("nested too deep; accepted: {MAX_DEPTH} levels"));
        Err(Stop)
    }

    fn repeat(&mut self, node: &Node, at: Position) -> Result<(), Stop> {
        self.repeated = self.repeated.saturating_add(node.size);
        if self.repeated <= MAX_REPEATED {
            return Ok(());
        }
        self.report.mistake(at, "", format!("the aliases repeat too much; accepted: {MAX_REPEATED} values in a file"));
        Err(Stop)
    }

    fn end(&mut self) -> Result<(), Stop> {
        let Some(Open { at, anchor, height, body }) = self.open.pop() else { return Ok(()) };
        let kind = match body {
            Body::List(items) => Kind::List(items),
            Body::Map { mut entries, mut seen, merged, .. } => {
                for source in merged {
                    self.merge(&source, &mut entries, &mut seen);
                }
                Kind::Map(entries)
            }
        };
        let inside = match &kind {
            Kind::List(items) => items.iter().map(|item| item.size).sum(),
            Kind::Map(entries) => entries.iter().map(|entry| entry.node.size).sum(),
            Kind::Null | Kind::Scalar(_) => 0,
        };
        self.complete(Rc::new(Node { at, kind, height, size: 1 + inside }), anchor)
    }

    /// Adds the keys of `source`, a section or a list of sections, that are not there yet.
    fn merge(&self, source: &Node, entries: &mut Vec<Entry>, seen: &mut HashMap<Box<str>, Position>) {
        let refused = |node: &Node| {
            let message = format!("found {}; accepted: a section, or a list of them, to merge", node.shown());
            self.report.mistake(node.at, &self.path_with("<<"), message);
        };
        let sections = match &source.kind {
            Kind::List(items) => items.iter().map(|item| &**item).collect(),
            _ => vec![source],
        };
        for section in sections {
            let Kind::Map(new) = &section.kind else {
                refused(section);
                continue;
            };
            for entry in new {
                if !seen.contains_key(&entry.key) {
                    seen.insert(entry.key.clone(), entry.at);
                    entries.push(entry.clone());
                }
            }
        }
    }

    /// Hands a complete value to what holds it.
    fn complete(&mut self, node: Rc<Node>, anchor: usize) -> Result<(), Stop> {
        if anchor > 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        if self.open.len() + node.height > MAX_DEPTH {
            return self.too_deep(node.at);
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        open.height = open.height.max(node.height + 1);
        match &mut open.body {
            Body::List(items) => items.push(node),
            Body::Map { entries, merged, key, .. } => match std::mem::replace(key, Key::Awaited) {
                Key::Awaited => self.key(&node),
                Key::Text(key, at) => entries.push(Entry { key, at, node }),
                Key::Merge => merged.push(node),
                Key::Refused => {}
            },
        }
        Ok(())
    }

    /// Takes `node` as the next key of the innermost section.
    fn key(&mut self, node: &Node) {
        let next = match &node.kind {
            Kind::Scalar(scalar) => self.text_key(scalar, node.at),
            _ => Err(format!("found {} as a key; accepted: text", node.shown())),
        };
        let path = match &node.kind {
            Kind::Scalar(scalar) if next.is_err() => self.path_with(&scalar.text),
            _ => self.path(),
        };
        let next = next.unwrap_or_else(|message| {
            self.report.mistake(node.at, &path, message);
            Key::Refused
        });
        if let Some(Open { body: Body::Map { key, .. }, .. }) = self.open.last_mut() {
            *key = next;
        }
    }

    fn text_key(&mut self, scalar: &Scalar, at: Position) -> Result<Key, String> {
        let Some(Open { body: Body::Map { seen, .. }, .. }) = self.open.last_mut() else { return Ok(Key::Refused) };
        if let Some(first) = seen.get(&scalar.text) {
            return Err(format!("set twice, first at line {}; accepted: each key once", first.line));
        }
        seen.insert(scalar.text.clone(), at);
        Ok(if scalar.plain && &*scalar.text == "<<" { Key::Merge } else { Key::Text(scalar.text.clone(), at) })
    }

    /// The path of what is being read.
    fn path(&self) -> String {
        let mut path = String::new();
        for open in &self.open {
            match &open.body {
                Body::List(items) => path = format!("{path}[{}]", items.len()),
                Body::Map { key: Key::Text(key, _), .. } => path = join(&path, key),
                Body::Map { key: Key::Merge, .. } => path = join(&path, "<<"),
                Body::Map { .. } => {}
            }
        }
        path
    }

    fn path_with(&self, key: &str) -> String {
        join(&self.path(), key)
    }
}

/// `path.key`.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
