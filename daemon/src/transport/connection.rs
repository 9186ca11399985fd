//! An accepted connection: the TLS stream of a peer whose key was proved and admitted, and its seat.
//!
//! In: bytes. Out: bytes, or an error once the connection has been cut. Always: the seat is held until it is dropped;
//! a peer that does not begin HTTP/2 in time is cut, because keepalive only works once it has, and so is one that asks for
//! nothing: keepalive would hold its seat for ever. One that takes nothing of what is written is cut as well: when keepalive
//! gives it up, the farewell would wait for it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use super::seats::Seat;
use super::streams::Visitor;
use super::{PeerIdentity, listener::ListenerLimits};

/// Length of the client's connection preface, RFC 9113 section 3.4, in bytes.
const PREFACE_BYTES: usize = 24;

/// A connection for a tonic server; its handlers find the [`Visitor`] in the extensions of each request.
pub struct PeerConnection {
    stream: TlsStream<TcpStream>,
    visitor: Visitor,
    /// Resolves when the key is no longer admitted; `None` from then on.
    when_cut: Option<oneshot::Receiver<()>>,
    /// Until the client's HTTP/2 preface is here: bytes of it still to come, and when they must be here.
    preface: Option<(usize, Pin<Box<Sleep>>)>,
    /// When to look again whether the connection is of use, and for how long it may be of none.
    idle: (Pin<Box<Sleep>>, Duration),
    /// While something waits to be written: when the peer must have taken some of it.
    stall: Option<Pin<Box<Sleep>>>,
    stall_deadline: Duration,
    _seat: Seat,
}

impl PeerConnection {
    pub(super) fn new(
        stream: TlsStream<TcpStream>,
        identity: PeerIdentity,
        when_cut: oneshot::Receiver<()>,
        limits: &ListenerLimits,
        seat: Seat,
    ) -> PeerConnection {
        let now = Instant::now();
        let preface = Some((PREFACE_BYTES, Box::pin(sleep_until(now + limits.handshake_deadline))));
        let idle = (Box::pin(sleep_until(now + limits.idle_deadline)), limits.idle_deadline);
        let visitor = Visitor::new(identity);
        let (when_cut, stall, stall_deadline) = (Some(when_cut), None, limits.stall_deadline);
        PeerConnection { stream, visitor, when_cut, preface, idle, stall, stall_deadline, _seat: seat }
    }

    /// Who is at the other end.
    pub fn identity(&self) -> PeerIdentity {
        self.visitor.identity()
    }

    fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let (timer, idle_deadline) = &mut self.idle;
        while timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            let until = self.visitor.idle_since().unwrap_or(now) + *idle_deadline;
            if until <= now {
                return Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "the peer opened no stream"));
            }
            timer.as_mut().reset(until);
        }
        if let Some(when_cut) = &mut self.when_cut {
            match Pin::new(when_cut).poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(_) => self.when_cut = None,
            }
        }
        Poll::Ready(io::Error::new(io::ErrorKind::ConnectionAborted, "the peer's key is no longer admitted"))
    }
}

impl PeerConnection {
    /// What became of writing, or an error when nothing could be written for too long.
    fn unless_stalled<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stall = None;
            return written;
        }
        let deadline = self.stall_deadline;
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + deadline)));
        match stall.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer takes nothing"))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Connected for PeerConnection {
    type ConnectInfo = Visitor;

    fn connect_info(&self) -> Visitor {
        self.visitor.clone()
    }
}

impl std::fmt::Debug for PeerConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PeerConnection({:?})", self.identity())
    }
}

impl AsyncRead for PeerConnection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Poll::Ready(error) = self.poll_cut(cx) {
            return Poll::Ready(Err(error));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if let Some((left, deadline)) = &mut self.preface {
            *left = left.saturating_sub(buffer.filled().len() - before);
            if *left == 0 {
                self.preface = None;
            } else if polled.is_pending() && deadline.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer did not begin HTTP/2")));
            }
        }
        polled
    }
}

impl AsyncWrite for PeerConnection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        // A peer that reads nothing leaves writes pending, so these must notice the cut as well.
        if let Poll::Ready(error) = self.poll_cut(cx) {
            return Poll::Ready(Err(error));
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.unless_stalled(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Poll::Ready(error) = self.poll_cut(cx) {
            return Poll::Ready(Err(error));
        }
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.unless_stalled(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Poll::Ready(error) = self.poll_cut(cx) {
            return Poll::Ready(Err(error));
        }
        let shut_down = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.unless_stalled(cx, shut_down)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(error) = self.poll_cut(cx) {
            return Poll::Ready(Err(error));
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.unless_stalled(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
