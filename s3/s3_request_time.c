/* SPDX-License-Identifier: Apache-2.0 */
/* What an answer says of time. */
#include "base/clock.h"
#include "base/parse.h"
#include "s3/s3_request_inner.h"

#define RETRY_AFTER_MAX_S 60

static uint64_t date_in(const struct http_response *resp, const char *name)
{
    const char *text = http_response_header(resp, name);
    uint64_t ms;

    return text && clock_parse_http(text, &ms) ? ms : 0;
}

uint64_t s3_request_date_ms(const struct http_response *resp)
{
    return date_in(resp, "date");
}

uint64_t s3_request_modified(const struct http_response *resp)
{
    return date_in(resp, "last-modified");
}

uint64_t s3_request_asked_ms(const struct http_response *resp)
{
    const char *after =
        resp->status ? http_response_header(resp, "retry-after") : NULL;
    uint64_t seconds;

    return after && parse_u64(after, 0, RETRY_AFTER_MAX_S, &seconds)
               ? seconds * 1000
               : 0;
}
