//! The fleet command.

fn main() -> fleet::exit::Exit {
    fleet::exit::Exit::Done
}
