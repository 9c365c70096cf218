//! The registry's rows in order, a page of them in memory at a time.

use std::vec;

use crate::{
    error::RegistryError,
    reader::{Reader, Row},
};

/// Rows that are read at once.
const PAGE: u32 = 256;

/// Rows in order of their numbers, as stored: nothing of them has been verified.
/// After an error there are no more.
///
/// A transaction lasts for one page, so rows appended meanwhile are seen too.
#[derive(Debug)]
pub struct Rows<'r> {
    reader: &'r Reader,
    kind: Option<&'r str>,
    from: u64,
    page: vec::IntoIter<Row>,
    ended: bool,
}

impl Reader {
    /// The rows from number `from` on.
    pub fn rows(&self, from: u64) -> Rows<'_> {
        Rows { reader: self, kind: None, from, page: vec![].into_iter(), ended: false }
    }

    /// The rows from number `from` on whose record is of `kind`.
    pub fn rows_of_kind<'r>(&'r self, kind: &'r str, from: u64) -> Rows<'r> {
        Rows { kind: Some(kind), ..self.rows(from) }
    }
}

impl Rows<'_> {
    fn read_page(&mut self) -> Result<(), RegistryError> {
        let page = match self.kind {
            Some(kind) => self.reader.page_of_kind(kind, self.from, PAGE)?,
            None => self.reader.page(self.from, PAGE)?,
        };
        match page.last() {
            Some(last) => self.from = last.seq.saturating_add(1),
            None => self.ended = true,
        }
        self.page = page.into_iter();
        Ok(())
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<Row, RegistryError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.as_slice().is_empty()
            && !self.ended
            && let Err(error) = self.read_page()
        {
            self.ended = true;
            return Some(Err(error));
        }
        self.page.next().map(Ok)
    }
}
