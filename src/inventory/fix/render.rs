//! A plan written into a file's text, and checked before anybody sees it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::ops::Range;

use super::list;
use super::plan::{Change, Wanted};
use super::splice::Splices;
use crate::inventory::pattern::Pattern;
use crate::inventory::wrangler::declared::{Block, Declared, Entry, Form};
use crate::inventory::wrangler::text::{Syntax, comments};
use crate::inventory::wrangler::tree::{Field, Kind};
use crate::inventory::wrangler::{WranglerFile, parse};

/// The text that `wanted` asks for.
///
/// # Errors
/// Why the file had better be left alone.
pub(super) fn render(file: &WranglerFile, wanted: &Wanted) -> Result<String, String> {
    let mut splices = Splices::of(&file.text, file.syntax);
    let writer = Writer { file, wanted };
    for (index, block) in file.declared.blocks.iter().enumerate() {
        writer.change(&mut splices, index, block);
    }
    if let Some((index, hosts)) = &wanted.add {
        writer.add(&mut splices, &file.declared.blocks[*index], hosts)?;
    }
    let after = splices.apply()?;
    writer.check(&after)?;
    Ok(after)
}

struct Writer<'f> {
    file: &'f WranglerFile,
    wanted: &'f Wanted,
}

impl Writer<'_> {
    fn change_of(&self, block: usize, entry: usize) -> Option<&Change> {
        self.wanted.changes.get(&(block, entry))
    }

    /// What a block's entries become.
    fn change(&self, splices: &mut Splices<'_>, index: usize, block: &Block) {
        let mut fields_gone = BTreeSet::new();
        for at in block.entries.iter().map(|entry| entry.field).collect::<BTreeSet<_>>() {
            let field = &block.fields[at];
            let of_field = || block.entries.iter().enumerate().filter(|(_, entry)| entry.field == at);
            for (number, entry) in of_field() {
                if let Some(Change::Claim(host)) = self.change_of(index, number) {
                    self.claim(splices, entry, host);
                }
            }
            let gone: Vec<&Entry> = of_field()
                .filter(|(number, _)| self.change_of(index, *number) == Some(&Change::Remove))
                .map(|(_, entry)| entry)
                .collect();
            let Some(first) = gone.first() else { continue };
            match first.form {
                Form::Single if self.would_inherit(index) => {
                    let text = if self.file.syntax == Syntax::Toml { "routes = []" } else { "\"routes\": []" };
                    splices.replace(field.span(), text);
                }
                Form::Single => {
                    fields_gone.insert(at);
                }
                Form::Element => {
                    let Kind::List(nodes) = &field.value.kind else { continue };
                    let elements: Vec<Range<usize>> = nodes.iter().map(|node| node.span.clone()).collect();
                    let gone: Vec<usize> = gone.iter().map(|entry| entry.index).collect();
                    list::remove(splices, &elements, &gone, field.value.span.end - 1);
                }
                Form::Table => {
                    let all = gone.len() == of_field().count();
                    let said = if all && self.would_inherit(index) { Self::say_none(splices, block) } else { None };
                    for (number, entry) in gone.iter().enumerate() {
                        remove_table(splices, entry, said.as_deref().filter(|_| number == 0));
                    }
                }
            }
        }
        let (lines, commas): (Vec<usize>, Vec<usize>) =
            fields_gone.into_iter().partition(|&at| block.fields[at].in_lines);
        for at in lines {
            splices.remove(whole_line(splices, &block.fields[at]));
        }
        if !commas.is_empty() {
            let fields: Vec<Range<usize>> = block.fields.iter().map(Field::span).collect();
            list::remove(splices, &fields, &commas, block.span.end - 1);
        }
    }

    /// Whether an environment that says nothing of routes would have those of the top: `routes` is inherited.
    fn would_inherit(&self, index: usize) -> bool {
        let top = &self.file.declared.blocks[0];
        index > 0 && (0..top.entries.len()).any(|number| self.change_of(0, number) != Some(&Change::Remove))
    }

    /// Has an environment without tables say that it has no routes: under its header, or, where it has none, in place of
    /// the first table, by the text that is returned.
    fn say_none(splices: &mut Splices<'_>, block: &Block) -> Option<String> {
        let end = splices.line_end();
        if let Some(header) = block.header.as_ref().filter(|header| splices.text[header.start..].starts_with('[')) {
            let behind = splices.line_after(header.end);
            splices.replace(behind..behind, format!("routes = []{end}"));
            return None;
        }
        let name = block.environment.as_deref().unwrap_or_default();
        Some(format!("[env.{}]{end}routes = []{end}", toml_key(name)))
    }

    /// Has an entry claim all of `host`.
    fn claim(&self, splices: &mut Splices<'_>, entry: &Entry, host: &str) {
        let Some((_, span)) = &entry.pattern else { return };
        let text = if entry.custom_domain { host.to_owned() } else { format!("{host}/*") };
        splices.replace(span.clone(), quoted_as(&splices.text[span.clone()], &text));
        if let Some((zone, span)) = &entry.zone_name
            && !zone.contains("${")
            && !Pattern::whole(host).is_in_zone(zone)
        {
            splices.replace(span.clone(), quoted_as(&splices.text[span.clone()], &self.wanted.domain));
        }
    }

    /// Has a block claim further hosts, written as its others are.
    fn add(&self, splices: &mut Splices<'_>, block: &Block, hosts: &[String]) -> Result<(), String> {
        let last = block.entries.last();
        let field = last.map(|entry| &block.fields[entry.field]);
        match (last, field.map(|field| &field.value.kind)) {
            (Some(entry), Some(Kind::Tables(nodes))) => {
                let table = &nodes[entry.index];
                let header = header_of(splices, table.span.start);
                let header = splices.text[header].to_owned();
                let end = table.fields().iter().map(|field| field.span().end).max().unwrap_or(table.span.end);
                let (behind, nl) = (splices.line_after(end), splices.line_end());
                let mut text = if splices.text[..behind].ends_with('\n') { String::new() } else { nl.to_owned() };
                for host in hosts {
                    let zone = self.zone_of(host, Some(entry)).unwrap_or_else(|| parent(host).to_owned());
                    let _ = write!(text, "{nl}{header}{nl}pattern = \"{host}/*\"{nl}zone_name = \"{zone}\"{nl}");
                }
                splices.replace(behind..behind, text);
            }
            (Some(entry), Some(Kind::List(nodes))) => {
                let field = &block.fields[entry.field];
                let elements: Vec<Range<usize>> = nodes.iter().map(|node| node.span.clone()).collect();
                let new: Vec<String> = hosts.iter().map(|host| self.element(host, Some(entry))).collect();
                list::append(splices, &elements, field.value.span.end - 1, &new);
            }
            (Some(entry), Some(_)) => {
                let field = &block.fields[entry.field];
                let key = if self.file.syntax == Syntax::Toml { "routes" } else { "\"routes\"" };
                let new: Vec<String> = hosts.iter().map(|host| self.element(host, Some(entry))).collect();
                splices.replace(field.at.clone(), key);
                splices.replace(field.value.span.start..field.value.span.start, "[");
                splices.replace(field.value.span.end..field.value.span.end, format!(", {}]", new.join(", ")));
            }
            _ => {
                let new: Vec<String> = hosts.iter().map(|host| self.element(host, None)).collect();
                if let Some(field) = block.fields.iter().find(|field| field.key == "routes") {
                    let Kind::List(_) = field.value.kind else { return Err("its `routes` is no list".to_owned()) };
                    list::append(splices, &[], field.value.span.end - 1, &new);
                    return Ok(());
                }
                let name = self.file.declared.name_field.as_ref().ok_or("there is no place for routes in it")?;
                let routes = self.routes(&new);
                let nl = splices.line_end();
                if name.in_lines {
                    let behind = splices.line_after(name.span().end);
                    let before = if splices.text[..behind].ends_with('\n') { "" } else { nl };
                    splices.replace(behind..behind, format!("{before}{routes}{nl}"));
                } else {
                    let between =
                        splices.indent(name.at.start).map_or(" ".to_owned(), |indent| format!("{nl}{indent}"));
                    let behind = name.span().end;
                    splices.replace(behind..behind, format!(",{between}{routes}"));
                }
            }
        }
        Ok(())
    }

    fn routes(&self, elements: &[String]) -> String {
        let list = elements.join(", ");
        if self.file.syntax == Syntax::Toml { format!("routes = [{list}]") } else { format!("\"routes\": [{list}]") }
    }

    /// One more element of `routes`, as the one beside it is written.
    fn element(&self, host: &str, beside: Option<&Entry>) -> String {
        let object = beside.is_none_or(|entry| !matches!(entry.node.kind, Kind::Text(_)));
        match self.zone_of(host, beside).filter(|_| object) {
            Some(zone) if self.file.syntax == Syntax::Toml => {
                format!("{{ pattern = \"{host}/*\", zone_name = \"{zone}\" }}")
            }
            Some(zone) => format!("{{ \"pattern\": \"{host}/*\", \"zone_name\": \"{zone}\" }}"),
            None => format!("\"{host}/*\""),
        }
    }

    /// The zone of a host, where it can be told.
    fn zone_of(&self, host: &str, beside: Option<&Entry>) -> Option<String> {
        let whole = Pattern::whole(host);
        let same = beside.and_then(|entry| entry.zone_name.as_ref()).map(|(zone, _)| zone.clone());
        same.filter(|zone| whole.is_in_zone(zone))
            .or_else(|| Some(self.wanted.domain.clone()).filter(|domain| whole.is_in_zone(domain)))
    }

    /// Whether a result says what was planned, and has every comment that there was.
    fn check(&self, after: &str) -> Result<(), String> {
        let root = parse(after, self.file.syntax).map_err(|(_, why)| format!("the result {why}"))?;
        let patterns = |declared: &Declared| -> Vec<(Option<String>, String)> {
            let of_block = |block: &Block| {
                let environment = block.environment.clone();
                let text = |entry: &Entry| entry.pattern.as_ref().map(|(text, _)| text.clone()).unwrap_or_default();
                block.entries.iter().map(move |entry| (environment.clone(), text(entry))).collect::<Vec<_>>()
            };
            declared.blocks.iter().flat_map(of_block).collect()
        };
        let mut expected = Vec::new();
        for (index, block) in self.file.declared.blocks.iter().enumerate() {
            for (number, entry) in block.entries.iter().enumerate() {
                let text = entry.pattern.as_ref().map(|(text, _)| text.clone()).unwrap_or_default();
                match self.change_of(index, number) {
                    Some(Change::Remove) => {}
                    Some(Change::Claim(host)) if entry.custom_domain => {
                        expected.push((block.environment.clone(), host.clone()));
                    }
                    Some(Change::Claim(host)) => expected.push((block.environment.clone(), format!("{host}/*"))),
                    None => expected.push((block.environment.clone(), text)),
                }
            }
        }
        if let Some((index, hosts)) = &self.wanted.add {
            let environment = &self.file.declared.blocks[*index].environment;
            expected.extend(hosts.iter().map(|host| (environment.clone(), format!("{host}/*"))));
        }
        let mut found = patterns(&Declared::of(&root));
        found.sort();
        expected.sort();
        if found != expected {
            return Err("its form is one that cannot be edited safely; edit it by hand".to_owned());
        }
        let words = |text: &str| {
            let mut words: Vec<String> =
                comments(text, self.file.syntax).into_iter().map(|range| text[range].to_owned()).collect();
            words.sort();
            words
        };
        if words(&self.file.text) == words(after) { Ok(()) } else { Err("a comment would be lost".to_owned()) }
    }
}

/// A table `[[…]]` with its lines. `instead` comes in its place.
fn remove_table(splices: &mut Splices<'_>, entry: &Entry, instead: Option<&str>) {
    let header = header_of(splices, entry.node.span.start);
    let fields = entry.node.fields();
    let lines: Vec<Range<usize>> = fields.iter().map(|field| whole_line(splices, field)).collect();
    let end = lines.iter().map(|line| line.end).max().unwrap_or(header.end).max(header.end);
    let start = splices.line_start(header.start);
    if let Some(text) = instead {
        splices.replace(start..start, text);
    }
    splices.remove(header);
    for line in lines {
        splices.remove(line);
    }
    // One empty line of the two around it goes with it.
    let behind = splices.line_after(end);
    let before_is_empty = start == 0 || splices.text[..start].trim_end_matches([' ', '\t', '\r', '\n']).is_empty() || {
        let before = splices.text[..start].trim_end_matches(['\r', '\n', ' ', '\t']);
        splices.text[before.len()..start].matches('\n').count() > 1
    };
    if instead.is_none() && before_is_empty {
        let rest = &splices.text[behind..];
        let blank = rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
        let lines = rest[..blank].rfind('\n').map_or(0, |last| last + 1);
        if lines > 0 {
            splices.replace(behind..behind + lines, "");
        } else if blank == rest.len() && start > 0 {
            // At the end of the file it is the one before.
            let before = splices.text[..start].trim_end_matches(['\r', '\n', ' ', '\t']).len();
            let first = splices.line_after(before).min(start);
            splices.replace(first..start, "");
        }
    }
}

/// `[[…]]`, without what follows in its line.
fn header_of(splices: &Splices<'_>, start: usize) -> Range<usize> {
    let line = &splices.text[start..splices.line_after(start)];
    start..line.find("]]").map_or(start + line.trim_end().len(), |end| start + end + 2)
}

/// A key with lines of its own, from the first of its dotted keys on.
fn whole_line(splices: &Splices<'_>, field: &Field) -> Range<usize> {
    let start = splices.line_start(field.at.start);
    let indent = splices.text[start..].len() - splices.text[start..].trim_start_matches([' ', '\t']).len();
    start + indent..field.span().end
}

/// `text` in the quotes of `old`.
fn quoted_as(old: &str, text: &str) -> String {
    let quote = if old.starts_with('\'') { '\'' } else { '"' };
    format!("{quote}{text}{quote}")
}

/// A key of TOML, quoted where it has to be.
fn toml_key(name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if bare { name.to_owned() } else { format!("{name:?}") }
}

/// What a host is below.
fn parent(host: &str) -> &str {
    host.split_once('.').map_or(host, |(_, parent)| parent)
}
