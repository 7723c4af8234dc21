//! The way by a jump host: a session with it, and through a channel of that the connection to the master. libssh2 wants a socket for
//! the second session, so it gets one end of a pair, and a thread carries the bytes between the other end and the channel.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use ssh2::{BlockDirections, Channel, Session};

use super::{Call, Error, HostKey, Login, Peer};
use crate::hub::SshTarget;

/// What is carried at once.
const CHUNK: usize = 16 << 10;

/// A jump host that is to be gone by.
pub(super) struct Way {
    pub(super) call: Call,
    pinned: HostKey,
    login: Login,
}

impl Way {
    /// The way that leads to a master; `None` where it is reached directly.
    pub(super) async fn prepare(
        master: &Call,
        target: &SshTarget,
        pinned: Option<&HostKey>,
    ) -> Result<Option<Self>, Error> {
        let Some(jump) = &target.jump else { return Ok(None) };
        let call = master.with(Peer::new(&jump.at.host, jump.at.port));
        let Some(pinned) = pinned.cloned() else { return Err(Error::NoJumpPin { peer: call.peer }) };
        let login = Login::prepare(&jump.at.user, &jump.key, target.agent.as_deref(), &call).await;
        Ok(Some(Self { call, pinned, login: login.map_err(Error::at_jump_host)? }))
    }

    /// Logs in on the jump host and has it connect to the master. What is returned leads there.
    pub(super) fn open(self, stream: TcpStream, master: &Call) -> Result<UnixStream, Error> {
        let Self { call, pinned, login } = self;
        let failed = |source| Error::Connect { peer: master.peer.clone(), source };
        let tcp = stream.try_clone().map_err(failed)?;
        let mut session = call.session().map_err(Error::at_jump_host)?;
        session.set_tcp_stream(stream);
        call.handshake_pinned(&mut session, &pinned).map_err(Error::at_jump_host)?;
        login.log_in(&call, &session).map_err(Error::at_jump_host)?;
        let Peer { host, port } = &master.peer;
        let channel = master.step(
            &session,
            "the jump host connects to it",
            || session.channel_direct_tcpip(host, *port, None),
            |source| Error::Onward { jump: call.peer.clone(), peer: master.peer.clone(), source },
        )?;
        let (near, far) = UnixStream::pair().map_err(failed)?;
        session.set_blocking(false);
        let end = master.end;
        std::thread::Builder::new()
            .name("jump".to_owned())
            .spawn(move || {
                let mut carrier = Carrier { channel, session, tcp, far };
                // However it ends, both connections end, and whoever uses them is told by that.
                let _ = carrier.carry(end);
                let _ = carrier.far.shutdown(Shutdown::Both);
                let _ = carrier.tcp.shutdown(Shutdown::Both);
            })
            .map_err(failed)?;
        Ok(near)
    }
}

/// Carries bytes between a channel and a socket. Dropped once both connections are closed, so that libssh2 waits for nobody.
struct Carrier {
    channel: Channel,
    session: Session,
    tcp: TcpStream,
    far: UnixStream,
}

impl Carrier {
    /// Until either side has ended, or the time is up.
    fn carry(&mut self, end: Instant) -> io::Result<()> {
        // What was taken from the socket and the channel has no room for yet.
        let mut waiting = Vec::new();
        loop {
            if self.read_channel(end)? {
                return Ok(());
            }
            self.write_channel(&mut waiting)?;
            let left = left(end)?;
            let is_stuck =
                matches!(self.session.block_directions(), BlockDirections::Outbound | BlockDirections::Both);
            let of_tcp = if is_stuck { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
            let of_far = if waiting.is_empty() { PollFlags::IN } else { PollFlags::empty() };
            let mut fds = [PollFd::new(&self.tcp, of_tcp), PollFd::new(&self.far, of_far)];
            let limit = Timespec::try_from(left).map_err(|_| ErrorKind::InvalidInput)?;
            match poll(&mut fds, Some(&limit)) {
                Err(rustix::io::Errno::INTR) => continue,
                polled => polled?,
            };
            if fds[1].revents().intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
                let mut chunk = [0; CHUNK];
                match self.far.read(&mut chunk)? {
                    0 => return Ok(()),
                    read => waiting.extend_from_slice(&chunk[..read]),
                }
            }
        }
    }

    /// Passes on what has come from the master; `true` at its end.
    fn read_channel(&mut self, end: Instant) -> io::Result<bool> {
        let mut chunk = [0; CHUNK];
        loop {
            match self.channel.read(&mut chunk) {
                Ok(0) => return Ok(self.channel.eof()),
                Ok(read) => {
                    // Whoever reads at the other end is a thread in a call that wants just this.
                    self.far.set_write_timeout(Some(left(end)?))?;
                    self.far.write_all(&chunk[..read])?;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }

    fn write_channel(&mut self, waiting: &mut Vec<u8>) -> io::Result<()> {
        while !waiting.is_empty() {
            match self.channel.write(waiting) {
                Ok(written) => drop(waiting.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// What is left of the time; an error where nothing is.
fn left(end: Instant) -> io::Result<Duration> {
    end.checked_duration_since(Instant::now())
        .filter(|left| !left.is_zero())
        .ok_or_else(|| ErrorKind::TimedOut.into())
}
