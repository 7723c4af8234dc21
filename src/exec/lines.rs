//! Whole lines out of whatever pieces an engine sends.

use bytes::{Bytes, BytesMut};

/// Bytes after which a line is broken even if it goes on: what a command prints never has to fit into memory.
pub const LONGEST_LINE: usize = 1024 * 1024;

/// Assembles lines. What has been put in comes out once, in order, each line without its newline.
#[derive(Debug, Default)]
pub struct Lines {
    partial: BytesMut,
}

impl Lines {
    /// Takes a piece and hands on every line that it completes.
    pub fn push(&mut self, mut piece: &[u8], mut line: impl FnMut(Bytes)) {
        while let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(&piece[..end]);
            line(self.partial.split().freeze());
            piece = &piece[end + 1..];
        }
        self.partial.extend_from_slice(piece);
        while self.partial.len() >= LONGEST_LINE {
            line(self.partial.split_to(LONGEST_LINE).freeze());
        }
    }

    /// Hands on the last line, if the output did not end with a newline.
    pub fn finish(&mut self, line: impl FnOnce(Bytes)) {
        if !self.partial.is_empty() {
            line(self.partial.split().freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn assemble<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Bytes> {
        let (mut lines, mut out) = (Lines::default(), Vec::new());
        for piece in pieces {
            lines.push(piece, |line| out.push(line));
        }
        lines.finish(|line| out.push(line));
        out
    }

    #[test]
    fn an_empty_line_is_a_line_and_a_last_one_without_newline_is_not_lost() {
        assert_eq!(assemble([&b"a\n\nb"[..]]), ["a", "", "b"]);
        assert_eq!(assemble([&b"a\n"[..]]), ["a"]);
        assert!(assemble([&b""[..]]).is_empty());
    }

    #[test]
    fn a_line_without_end_is_broken_and_not_kept_in_memory() {
        let mut lines = Lines::default();
        let mut out = Vec::new();
        for _ in 0..5 {
            lines.push(&vec![b'x'; LONGEST_LINE / 2], |line| out.push(line.len()));
        }
        assert_eq!(out, [LONGEST_LINE, LONGEST_LINE]);
        lines.finish(|line| out.push(line.len()));
        assert_eq!(out.last(), Some(&(LONGEST_LINE / 2)));
    }

    proptest! {
        #[test]
        fn lines_are_the_same_however_the_bytes_are_cut(
            bytes in proptest::collection::vec(prop_oneof![3 => any::<u8>(), 1 => Just(b'\n')], 0..400),
            cuts in proptest::collection::vec(0usize..400, 0..20),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]);
            let mut expected: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
            if expected.last().is_some_and(|last| last.is_empty()) {
                expected.pop();
            }
            prop_assert_eq!(assemble(pieces), expected);
        }
    }
}
