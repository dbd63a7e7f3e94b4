//! The network: connections that keep their order, delay, stall, break and come back.
//!
//! ```text
//!   sent ──► [ in flight, in order ] ──► arrives         a connection has a number, its *epoch*
//!                     │
//!      blocked: held back, arrives in one burst when the way is free again
//!      broken:  everything in flight is lost, the epoch rises, both ends notice
//! ```
//!
//! That is how the product's connections behave: within one, order holds; a new one starts empty, and
//! what an old one still carried is gone. A queue that is full drops single messages. The *rough* profile
//! goes beyond what TCP allows, as a margin: it also repeats and reorders, but repeats no request.

use std::collections::VecDeque;

use api::frame::{Frame, RaftBatch, ReplyBatch, RequestBatch};
use bytes::BytesMut;

use crate::agenda::Agenda;
use crate::coverage::Coverage;
use crate::event::{Event, Packet, Place};
use crate::random::Random;

/// What a connection carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Channel {
    /// Raft messages and reports.
    Raft = 0,
    /// Requests and replies.
    Requests = 1,
    /// Snapshots.
    Bulk = 2,
}

const CHANNELS: [Channel; 3] = [Channel::Raft, Channel::Requests, Channel::Bulk];
/// Packets that wait for a blocked way at most, as a peer's queue is limited.
const HELD_MAX: usize = 2000;

/// How the network is.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Usual time under way, in nanoseconds.
    pub delay: u64,
    /// One packet in a hundred takes up to this long.
    pub longest: u64,
    /// Packets dropped, of 1000.
    pub drop: u64,
    /// Packets repeated, of 1000.
    pub repeat: u64,
    /// Packets that overtake others, of 1000.
    pub reorder: u64,
}

/// All connections of a world.
pub struct Network {
    nodes: usize,
    links: Vec<Link>,
    /// What it is like at the moment.
    pub weather: Weather,
    random: Random,
    /// Packets between two that go through the codec.
    codec_every: u64,
    packets: u64,
}

#[derive(Default)]
struct Link {
    epoch: u32,
    /// When the last packet arrives.
    last: u64,
    /// How many faults block the way.
    blocked: u32,
    /// No connection: nothing leaves.
    broken: bool,
    held: VecDeque<Packet>,
}

impl Network {
    /// A network of whole connections.
    pub fn new(nodes: usize, weather: Weather, random: Random, codec_every: u64) -> Self {
        let links = (0..nodes * nodes * CHANNELS.len()).map(|_| Link::default()).collect();
        Self { nodes, links, weather, random, codec_every, packets: 0 }
    }

    /// Sends a packet. `false` when there is no connection that could take it.
    pub fn send(
        &mut self,
        (from, to, channel): (Place, Place, Channel),
        packet: Packet,
        now: u64,
        agenda: &mut Agenda,
        coverage: &mut Coverage,
    ) -> bool {
        let index = self.index(from, to, channel);
        if self.links[index].broken {
            return false;
        }
        self.packets += 1;
        let weather = self.weather;
        if weather.drop > 0 && self.random.permille(weather.drop) {
            coverage.packets_dropped += 1;
            return true;
        }
        let packet = match self.packets % self.codec_every {
            0 => {
                coverage.packets_encoded += 1;
                through_codec(packet)
            }
            _ => packet,
        };
        let link = &mut self.links[index];
        if link.blocked > 0 {
            if link.held.len() < HELD_MAX {
                link.held.push_back(packet);
            }
            return true;
        }
        let arrives = now + self.random.latency(weather.delay, weather.longest);
        if weather.reorder > 0 && self.random.permille(weather.reorder) {
            coverage.packets_reordered += 1;
            let late = arrives + self.random.below(20 * weather.delay);
            agenda.plan(late, Event::Arrive(index, link.epoch, packet));
            return true;
        }
        link.last = arrives.max(link.last + 1);
        // No echo of a request: its sender may have been told that it was not carried out, and has told others.
        let may_repeat = channel != Channel::Requests;
        if weather.repeat > 0 && may_repeat && self.random.permille(weather.repeat) {
            coverage.packets_repeated += 1;
            let again = link.last + self.random.below(50 * weather.delay);
            agenda.plan(again, Event::Arrive(index, link.epoch, packet.clone()));
        }
        agenda.plan(link.last, Event::Arrive(index, link.epoch, packet));
        true
    }

    /// The ends of a connection, if it is still the one of this epoch.
    pub fn ends(&self, index: usize, epoch: u32) -> Option<(Place, Place)> {
        let pair = index / CHANNELS.len();
        (self.links[index].epoch == epoch).then_some((pair / self.nodes, pair % self.nodes))
    }

    /// Breaks the connections between two nodes, both ways: what is in flight is lost. They come back by
    /// themselves unless `stays` says that they cannot.
    pub fn break_pair(&mut self, a: Place, b: Place, channel: Channel, stays: bool) {
        for (from, to) in [(a, b), (b, a)] {
            let index = self.index(from, to, channel);
            let link = &mut self.links[index];
            link.epoch += 1;
            link.held.clear();
            link.broken = stays || link.blocked > 0;
        }
    }

    /// A node's process is gone, or there again.
    pub fn set_up(&mut self, node: Place, up: bool) {
        for other in (0..self.nodes).filter(|other| *other != node) {
            for channel in CHANNELS {
                self.break_pair(node, other, channel, !up);
            }
        }
    }

    /// Nothing arrives that way any more.
    pub fn block(&mut self, from: Place, to: Place) {
        for channel in CHANNELS {
            let index = self.index(from, to, channel);
            self.links[index].blocked += 1;
        }
    }

    /// The way is free again: what was held back arrives in one burst.
    pub fn unblock(&mut self, from: Place, to: Place, now: u64, agenda: &mut Agenda) {
        for channel in CHANNELS {
            let index = self.index(from, to, channel);
            let link = &mut self.links[index];
            link.blocked = link.blocked.saturating_sub(1);
            if link.blocked > 0 {
                continue;
            }
            for packet in std::mem::take(&mut link.held) {
                link.last = now.max(link.last) + 1000;
                agenda.plan(link.last, Event::Arrive(index, link.epoch, packet));
            }
        }
    }

    /// There is no connection between two nodes, because something is in the way.
    pub fn cut_off(&mut self, a: Place, b: Place) {
        for channel in CHANNELS {
            self.break_pair(a, b, channel, true);
        }
    }

    /// Connections that can exist do: nothing blocks them, and both ends run.
    pub fn reconnect(&mut self, from: Place, to: Place) {
        for channel in CHANNELS {
            let index = self.index(from, to, channel);
            self.links[index].broken = false;
        }
    }

    /// Whether some fault blocks the way.
    pub fn is_blocked(&self, from: Place, to: Place) -> bool {
        self.links[self.index(from, to, Channel::Raft)].blocked > 0
    }

    fn index(&self, from: Place, to: Place, channel: Channel) -> usize {
        (from * self.nodes + to) * CHANNELS.len() + channel as usize
    }
}

/// The packet as its receiver reads it off the wire.
fn through_codec(packet: Packet) -> Packet {
    let mut run = 0;
    let frame = match packet {
        Packet::Raft(message) => Frame::Raft(RaftBatch { messages: vec![message] }),
        Packet::Report(report) => Frame::Report(report),
        Packet::Transfer(transfer) => Frame::Transfer(transfer),
        Packet::Cut(cut) => Frame::CutLog(cut),
        Packet::Compact(compact) => Frame::Compact(compact),
        Packet::Request(request) => Frame::Requests(RequestBatch { requests: vec![request] }),
        Packet::Reply(to, reply) => {
            run = to;
            Frame::Replies(ReplyBatch { replies: vec![reply] })
        }
        Packet::Chunk(chunk) => Frame::Chunk(chunk),
        Packet::Ack(ack) => Frame::ChunkAck(ack),
        Packet::Catalog(copy) => Frame::Catalog(copy),
    };
    let mut bytes = BytesMut::new();
    frame.encode(&mut bytes);
    let read = Frame::decode(&mut bytes).expect("a frame that was just encoded is whole");
    let read = read.expect("a frame that was just encoded is complete");
    assert_eq!(read, frame, "the wire codec changed a frame");
    match read {
        Frame::Raft(mut batch) => Packet::Raft(batch.messages.remove(0)),
        Frame::Report(report) => Packet::Report(report),
        Frame::Transfer(transfer) => Packet::Transfer(transfer),
        Frame::CutLog(cut) => Packet::Cut(cut),
        Frame::Compact(compact) => Packet::Compact(compact),
        Frame::Requests(mut batch) => Packet::Request(batch.requests.remove(0)),
        Frame::Replies(mut batch) => Packet::Reply(run, batch.replies.remove(0)),
        Frame::Chunk(chunk) => Packet::Chunk(chunk),
        Frame::ChunkAck(ack) => Packet::Ack(ack),
        Frame::Catalog(copy) => Packet::Catalog(copy),
        other => unreachable!("never sent: {other:?}"),
    }
}
