//! Nothing that promises is said before it is durable: votes, and acknowledged entries.
//!
//! The other checkers would see the harm that such a word does, but only in the rare run in which the
//! promise is then forgotten and asked for.

use api::peer::RaftMessage;

use super::promises::Promises;

/// Numbers of `eraftpb.MessageType`.
const APPEND_RESPONSE: i32 = 4;
const REQUEST_VOTE: i32 = 5;
const REQUEST_VOTE_RESPONSE: i32 = 6;

/// A message leaves a node.
pub fn said(promises: &Promises, message: &RaftMessage) -> Result<(), String> {
    let group = message.group.into();
    // The last words of a replica that is being removed may leave after its log was deleted: what they
    // promise is lost with it, as if it had been removed a moment later.
    let Some((last, record)) = promises.durable(group) else { return Ok(()) };
    // A candidate has voted for itself; a vote names who got it.
    let vote = match message.kind {
        REQUEST_VOTE => Some(message.from),
        REQUEST_VOTE_RESPONSE if !message.reject => Some(message.to),
        _ => None,
    };
    if let Some(vote) = vote
        && (record.term, record.vote) != (message.term, vote)
        && record.term <= message.term
    {
        let (term, known) = (record.term, record.vote);
        let told = replication::effects::describe(message);
        return Err(format!("{told}: but durable is only a vote for {known} in term {term}"));
    }
    let accepts = message.kind == APPEND_RESPONSE && !message.reject;
    // What a later leader has cut was durable when it was promised: the word is as one that was long on its way.
    let may_be_cut = record.term > message.term;
    if accepts && !may_be_cut && message.index > last.index.get() {
        let told = replication::effects::describe(message);
        return Err(format!("{told}: but durable is only the log up to {}", last.index));
    }
    Ok(())
}
