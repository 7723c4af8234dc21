//! Whole lines out of whatever pieces an engine sends.

use memchr::memchr;

/// Bytes after which a line is broken even if it goes on: what a command prints never has to fit into memory.
pub const LONGEST_LINE: usize = 1024 * 1024;

/// Room that is kept for the next line that comes in pieces.
const ROOM: usize = 64 * 1024;

/// Assembles lines. What has been put in comes out once, in order, each line without its newline. One that comes in one piece,
/// as most do, is not copied.
#[derive(Debug, Default)]
pub struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// Takes a piece and hands on every line that it completes.
    pub fn push(&mut self, mut piece: &[u8], mut line: impl FnMut(&[u8])) {
        while let Some(end) = memchr(b'\n', piece) {
            if self.partial.is_empty() {
                line(&piece[..end]);
            } else {
                self.partial.extend_from_slice(&piece[..end]);
                line(&self.partial);
                self.partial.clear();
                self.partial.shrink_to(ROOM);
            }
            piece = &piece[end + 1..];
        }
        self.partial.extend_from_slice(piece);
        while self.partial.len() >= LONGEST_LINE {
            line(&self.partial[..LONGEST_LINE]);
            self.partial.drain(..LONGEST_LINE);
        }
    }

    /// Hands on the last line, if the output did not end with a newline.
    pub fn finish(&mut self, line: impl FnOnce(&[u8])) {
        if !self.partial.is_empty() {
            line(&self.partial);
            self.partial = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn assemble<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
        let (mut lines, mut out) = (Lines::default(), Vec::new());
        for piece in pieces {
            lines.push(piece, |line| out.push(line.to_owned()));
        }
        lines.finish(|line| out.push(line.to_owned()));
        out
    }

    #[test]
    fn an_empty_line_is_a_line_and_a_last_one_without_newline_is_not_lost() {
        assert_eq!(assemble([&b"a\n\nb"[..]]), [&b"a"[..], b"", b"b"]);
        assert_eq!(assemble([&b"a\n"[..]]), [b"a"]);
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
