//! Text out of whatever pieces bytes come in.

/// Whether all bytes that were seen are UTF-8, a character cut in two included.
#[derive(Debug, Default)]
pub struct Utf8 {
    /// The beginning of a character whose rest is to come.
    begun: Vec<u8>,
    broken: bool,
}

impl Utf8 {
    /// More bytes.
    pub fn push(&mut self, piece: &[u8]) {
        let mut piece = piece;
        // At most three bytes: first the character that is begun, then the rest as it is.
        while !self.broken && !self.begun.is_empty() && !piece.is_empty() {
            self.begun.push(piece[0]);
            piece = &piece[1..];
            match std::str::from_utf8(&self.begun) {
                Ok(_) => self.begun.clear(),
                Err(error) => self.broken = error.error_len().is_some(),
            }
        }
        if self.broken || piece.is_empty() {
            return;
        }
        if let Err(error) = std::str::from_utf8(piece) {
            match error.error_len() {
                None => piece[error.valid_up_to()..].clone_into(&mut self.begun),
                Some(_) => self.broken = true,
            }
        }
    }

    /// Whether they are, if nothing comes any more.
    pub fn is_text(&self) -> bool {
        !self.broken && self.begun.is_empty()
    }
}

/// Text from bytes, with the replacement character for what is none, as [`String::from_utf8_lossy`] has it.
#[derive(Debug, Default)]
pub struct Lossy {
    begun: Vec<u8>,
}

impl Lossy {
    /// Shows a piece as text, but for a character that goes on in the next one.
    pub fn push<E>(&mut self, piece: &[u8], mut show: impl FnMut(&str) -> Result<(), E>) -> Result<(), E> {
        let joined;
        let bytes = if self.begun.is_empty() {
            piece
        } else {
            joined = [self.begun.as_slice(), piece].concat();
            self.begun.clear();
            &joined
        };
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            show(chunk.valid())?;
            let rest = chunk.invalid();
            let goes_on = chunks.peek().is_none()
                && std::str::from_utf8(rest).is_err_and(|error| error.error_len().is_none());
            if goes_on {
                rest.clone_into(&mut self.begun);
            } else if !rest.is_empty() {
                show("\u{fffd}")?;
            }
        }
        Ok(())
    }

    /// Shows a character that did not go on.
    pub fn finish<E>(self, show: impl FnOnce(&str) -> Result<(), E>) -> Result<(), E> {
        if self.begun.is_empty() { Ok(()) } else { show("\u{fffd}") }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Text and bytes that are none, cut anywhere, also inside a character.
    fn pieces() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let some = prop_oneof![
            3 => "[aü名🦀]{0,4}".prop_map(String::into_bytes),
            1 => prop::collection::vec(any::<u8>(), 0..3),
        ];
        (prop::collection::vec(some, 0..6), prop::collection::vec(0_usize..40, 0..8)).prop_map(
            |(some, cuts)| {
                let bytes = some.concat();
                let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
                cuts.extend([0, bytes.len()]);
                cuts.sort_unstable();
                cuts.windows(2).map(|pair| bytes[pair[0]..pair[1]].to_vec()).collect()
            },
        )
    }

    proptest! {
        #[test]
        fn text_is_told_from_bytes_however_they_are_cut(pieces in pieces()) {
            let whole = pieces.concat();
            let (mut utf8, mut lossy, mut text) = (Utf8::default(), Lossy::default(), String::new());
            for piece in &pieces {
                utf8.push(piece);
                lossy.push(piece, |part| { text.push_str(part); Ok::<(), ()>(()) }).unwrap();
            }
            lossy.finish(|part| { text.push_str(part); Ok::<(), ()>(()) }).unwrap();
            prop_assert_eq!(utf8.is_text(), std::str::from_utf8(&whole).is_ok());
            prop_assert_eq!(text, String::from_utf8_lossy(&whole));
        }
    }
}
