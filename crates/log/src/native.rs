//! The three things rdkafka's safe interface does not give: who we are in a consumer group, offsets in a transaction for a
//! member that is another client's, and record headers whose names are not UTF-8. This is the only `unsafe` code of Spina;
//! it owns nothing beyond the call.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, NulError, c_char};
use std::time::Duration;
use std::{ptr, slice};

use rdkafka::client::NativeClient;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka_sys as sys;
use spina_codec::Headers;

use crate::GroupMember;

/// Who the consumer is in its group now; `None` before it has joined.
pub(crate) fn group_member<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> Option<GroupMember> {
    // SAFETY: the pointer belongs to the consumer, which outlives the call. The metadata is a copy that is ours and is
    // destroyed below, after every string in it was copied.
    unsafe {
        let metadata = sys::rd_kafka_consumer_group_metadata(consumer.client().native_ptr());
        if metadata.is_null() {
            return None;
        }
        let member = GroupMember {
            group: text(sys::rd_kafka_consumer_group_metadata_group_id(metadata)).unwrap_or_default(),
            generation: sys::rd_kafka_consumer_group_metadata_generation_id(metadata),
            member_id: text(sys::rd_kafka_consumer_group_metadata_member_id(metadata)).unwrap_or_default(),
            instance_id: text(sys::rd_kafka_consumer_group_metadata_group_instance_id(metadata)),
        };
        sys::rd_kafka_consumer_group_metadata_destroy(metadata);
        (member.generation >= 0 && !member.member_id.is_empty()).then_some(member)
    }
}

/// SAFETY: `text` is null or points to a C string that lives during the call.
unsafe fn text(text: *const c_char) -> Option<String> {
    // SAFETY: by this function's own contract.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

/// Why a call about a transaction did not succeed.
#[derive(Debug)]
pub(crate) struct TransactionError {
    /// The client's or the broker's code.
    pub(crate) code: RDKafkaErrorCode,
    /// The transaction is open still, and is to be aborted.
    pub(crate) to_be_aborted: bool,
    /// For people.
    pub(crate) reason: String,
}

/// Adds a group's offsets to the producer's transaction. `member` is who consumed, by another client.
pub(crate) fn send_offsets(
    producer: &NativeClient,
    offsets: &TopicPartitionList,
    member: &GroupMember,
    timeout: Duration,
) -> Result<(), TransactionError> {
    let named = |error: NulError| TransactionError {
        code: RDKafkaErrorCode::InvalidArgument,
        to_be_aborted: true,
        reason: format!("a name has a zero byte: {error}"),
    };
    let group = CString::new(member.group.as_str()).map_err(named)?;
    let member_id = CString::new(member.member_id.as_str()).map_err(named)?;
    let instance_id = member.instance_id.as_deref().map(CString::new).transpose().map_err(named)?;
    let instance = instance_id.as_ref().map_or(ptr::null(), |id| id.as_ptr());
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the strings outlive the call that copies them. The metadata is ours and is destroyed below. The producer and
    // the list are borrowed for the whole call.
    unsafe {
        let metadata = sys::rd_kafka_consumer_group_metadata_new_with_genid(
            group.as_ptr(),
            member.generation,
            member_id.as_ptr(),
            instance,
        );
        let error = sys::rd_kafka_send_offsets_to_transaction(producer.ptr(), offsets.ptr(), metadata, timeout_ms);
        sys::rd_kafka_consumer_group_metadata_destroy(metadata);
        transaction_error(error)
    }
}

/// SAFETY: `error` is null or an error that is ours; it is destroyed here.
unsafe fn transaction_error(error: *mut sys::rd_kafka_error_t) -> Result<(), TransactionError> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: by this function's own contract; the text is copied before.
    unsafe {
        let told = TransactionError {
            code: sys::rd_kafka_error_code(error).into(),
            to_be_aborted: sys::rd_kafka_error_txn_requires_abort(error) != 0,
            reason: text(sys::rd_kafka_error_string(error)).unwrap_or_default(),
        };
        sys::rd_kafka_error_destroy(error);
        Err(told)
    }
}

/// The message's headers. Names that are not UTF-8 get replacement characters: rdkafka would panic on them, and then any
/// client that may write to a topic could stop its readers.
pub(crate) fn headers(message: &BorrowedMessage<'_>) -> Headers {
    let mut native = ptr::null_mut();
    // SAFETY: the message is borrowed for the whole call, and its headers live as long as it does.
    let found = unsafe { sys::rd_kafka_message_headers(message.ptr(), &raw mut native) };
    if found != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR || native.is_null() {
        return Headers::default();
    }
    // SAFETY: as above.
    let count = unsafe { sys::rd_kafka_header_cnt(native) };
    let mut headers = Headers::with_capacity(count, count * BYTES_PER_HEADER);
    for index in 0..count {
        let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
        // SAFETY: as above; the index is within the count.
        let got = unsafe { sys::rd_kafka_header_get_all(native, index, &raw mut name, &raw mut value, &raw mut size) };
        if got != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            break;
        }
        // SAFETY: librdkafka ends names with a zero byte, and a value that is not null has `size` bytes.
        let (name, value) = unsafe {
            let value = (!value.is_null()).then(|| slice::from_raw_parts(value.cast::<u8>(), size));
            (CStr::from_ptr(name).to_string_lossy(), value)
        };
        headers.push(&name, value);
    }
    headers
}

/// Name and value of a usual header together (`ce_correlationid` and a UUID are 53), to allocate once.
const BYTES_PER_HEADER: usize = 48;
