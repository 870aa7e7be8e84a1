//! The source with everything woven in, and where it stands.

use std::fmt::Write as _;
use std::ops::Range;

use serde::Serialize;

use crate::find::Found;

#[derive(Debug, Serialize)]
pub struct Stands {
    number: u32,
    start: usize,
    end: usize,
}

enum Edit {
    Insert(usize, Vec<(u32, String)>),
    Others(Range<usize>, Vec<(u32, String)>),
}

struct Render<'a> {
    source: &'a str,
    edits: std::iter::Peekable<std::vec::IntoIter<Edit>>,
    output: String,
    places: Vec<Stands>,
    /// Where parts of the source have come to stand.
    moved: Vec<(usize, usize)>,
}

pub fn render(source: &str, found: Found) -> (String, Vec<Stands>) {
    let inserts = found.inserts.into_iter().map(|(at, texts)| Edit::Insert(at, texts));
    let others = found.others.into_iter().map(|((start, end), others)| Edit::Others(start..end, others));
    let mut edits: Vec<Edit> = inserts.chain(others).collect();
    // What is wider comes first, what is put in before what it stands in front of.
    edits.sort_by_key(|edit| match edit {
        Edit::Insert(at, _) => (*at, 0, 0),
        Edit::Others(range, _) => (range.start, 1, usize::MAX - range.end),
    });
    let edits = edits.into_iter().peekable();
    let mut render = Render { source, edits, output: String::new(), places: Vec::new(), moved: Vec::new() };
    render.part(0..source.len());
    for (number, range) in found.around {
        let (start, end) = (render.stands(range.start), render.stands(range.end));
        render.places.push(Stands { number, start, end });
    }
    (render.output, render.places)
}

impl Render<'_> {
    fn copy(&mut self, range: Range<usize>) {
        self.moved.push((range.start, self.output.len()));
        self.output.push_str(&self.source[range]);
    }

    fn stands(&self, at: usize) -> usize {
        let index = self.moved.partition_point(|(from, _)| *from <= at);
        index.checked_sub(1).map_or(at, |index| self.moved[index].1 + at - self.moved[index].0)
    }

    fn part(&mut self, range: Range<usize>) {
        let mut at = range.start;
        while let Some(edit) = self.edits.next_if(|edit| match edit {
            Edit::Insert(at, _) => *at < range.end,
            Edit::Others(inner, _) => inner.end <= range.end,
        }) {
            match edit {
                Edit::Insert(place, texts) => {
                    self.copy(at..place);
                    at = place;
                    for (number, text) in texts {
                        let start = self.output.len();
                        self.output.push_str(&text);
                        self.places.push(Stands { number, start, end: self.output.len() });
                    }
                }
                Edit::Others(inner, others) => {
                    self.copy(at..inner.start);
                    at = inner.end;
                    self.others(inner, others);
                }
            }
        }
        self.copy(at..range.end);
    }

    fn others(&mut self, range: Range<usize>, others: Vec<(u32, String)>) {
        let whole = self.output.len();
        let numbers: Vec<u32> = others.iter().map(|(number, _)| *number).collect();
        self.output.push('(');
        for (number, other) in others {
            let start = self.output.len();
            // The line's end is for a comment in it.
            let _ = write!(self.output, "if crate::broken::is({number}) {{ {other}\n}} else ");
            self.places.push(Stands { number, start, end: self.output.len() });
        }
        self.output.push_str("{ ");
        self.part(range);
        self.output.push_str("\n})");
        let end = self.output.len();
        self.places.extend(numbers.into_iter().map(|number| Stands { number, start: whole, end }));
    }
}
