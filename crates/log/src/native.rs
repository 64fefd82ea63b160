//! The two things rdkafka's safe interface does not give: who we are in a consumer group, and record headers whose names
//! are not UTF-8. This is the only `unsafe` code of Spina; it only reads, and owns nothing beyond the call.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char};
use std::{ptr, slice};

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::message::BorrowedMessage;
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
