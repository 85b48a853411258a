/* SPDX-License-Identifier: Apache-2.0 */
#include "s3/s3_error.h"

#include <string.h>

#include "base/bytes.h"

/* Codes that say more than their status. */
static const struct {
    const char *word;
    struct s3_error_verdict verdict;
} words[] = {
    {"SlowDown", {ERR_AGAIN, S3_RETRY_LATER}},
    {"ServiceUnavailable", {ERR_AGAIN, S3_RETRY_LATER}},
    {"Throttling", {ERR_AGAIN, S3_RETRY_LATER}},
    {"ThrottlingException", {ERR_AGAIN, S3_RETRY_LATER}},
    {"TooManyRequests", {ERR_AGAIN, S3_RETRY_LATER}},
    {"RequestLimitExceeded", {ERR_AGAIN, S3_RETRY_LATER}},
    {"BandwidthLimitExceeded", {ERR_AGAIN, S3_RETRY_LATER}},
    {"OperationAborted", {ERR_AGAIN, S3_RETRY_LATER}},
    {"ConditionalRequestConflict", {ERR_AGAIN, S3_RETRY_LATER}},
    {"InternalError", {ERR_REMOTE, S3_RETRY_LATER}},
    {"RequestTimeout", {ERR_TIMEOUT, S3_RETRY_LATER}},
    {"IncompleteBody", {ERR_IO, S3_RETRY_LATER}},
    /* The bytes were changed on their way, or in our memory. */
    {"BadDigest", {ERR_INTEGRITY, S3_RETRY_LATER}},
    {"XAmzContentSHA256Mismatch", {ERR_INTEGRITY, S3_RETRY_LATER}},
    {"RequestTimeTooSkewed", {ERR_DENIED, S3_RETRY_CLOCK}},
    {"AuthorizationHeaderMalformed", {ERR_ARGUMENT, S3_RETRY_REGION}},
    {"PermanentRedirect", {ERR_ARGUMENT, S3_RETRY_REGION}},
    {"NoSuchKey", {ERR_NOT_FOUND, S3_RETRY_NO}},
    {"NoSuchVersion", {ERR_NOT_FOUND, S3_RETRY_NO}},
    {"NoSuchUpload", {ERR_NOT_FOUND, S3_RETRY_NO}},
    /* Not ERR_NOT_FOUND: no object is missing, the store is. */
    {"NoSuchBucket", {ERR_REMOTE, S3_RETRY_NO}},
    {"InvalidObjectState", {ERR_COLD, S3_RETRY_NO}},
    {"QuotaExceeded", {ERR_QUOTA, S3_RETRY_NO}},
    {"ExpiredToken", {ERR_DENIED, S3_RETRY_NO}},
    {"InvalidToken", {ERR_DENIED, S3_RETRY_NO}},
    {"TokenRefreshRequired", {ERR_DENIED, S3_RETRY_NO}},
    {"PreconditionFailed", {ERR_CONFLICT, S3_RETRY_NO}},
    {"InvalidRange", {ERR_PROTOCOL, S3_RETRY_NO}},
};

static struct s3_error_verdict judge_status(int status)
{
    struct s3_error_verdict v = {ERR_REMOTE, S3_RETRY_NO};

    switch (status) {
    case 401:
    case 403:
        v.code = ERR_DENIED;
        break;
    case 404:
        v.code = ERR_NOT_FOUND;
        break;
    case 408:
        v = (struct s3_error_verdict){ERR_TIMEOUT, S3_RETRY_LATER};
        break;
    case 409:
    case 412:
        v.code = ERR_CONFLICT;
        break;
    case 416:
        v.code = ERR_PROTOCOL;
        break;
    case 429:
    case 503:
        v = (struct s3_error_verdict){ERR_AGAIN, S3_RETRY_LATER};
        break;
    case 500:
    case 502:
    case 504:
        v.retry = S3_RETRY_LATER;
        break;
    case 507:
        v.code = ERR_QUOTA;
        break;
    default:
        break;
    }
    return v;
}

struct s3_error_verdict s3_error_judge(int status, const struct s3_xml_error *e)
{
    for (size_t i = 0; i < BYTES_COUNT(words); i++)
        if (strcmp(e->code, words[i].word) == 0)
            return words[i].verdict;
    return judge_status(status);
}

/* libcurl's numbers (http_client.h passes them on) for a peer whose
 * certificate is not trusted and for the like: another try changes nothing. */
static bool is_hopeless(int curl)
{
    return curl == 35 || curl == 51 || curl == 58 || curl == 60 || curl == 77 ||
           curl == 83 || curl == 90 || curl == 91;
}

struct s3_error_verdict s3_error_judge_transfer(const struct err *err,
                                                bool ever)
{
    struct s3_error_verdict v = {err->code, S3_RETRY_NO};

    switch (err->code) {
    case ERR_UNREACHABLE:
        if (!is_hopeless(err->detail))
            v.retry = S3_RETRY_LATER;
        /* a handshake may break off like any connection; a wrong name or
         * certificate has shown itself before anything worked */
        if (err->detail == 35 && ever)
            v.retry = S3_RETRY_LATER;
        break;
    case ERR_TIMEOUT:
    case ERR_IO:
    case ERR_PROTOCOL: /* an answer cut off in its headers looks so */
        v.retry = S3_RETRY_LATER;
        break;
    default:
        break;
    }
    return v;
}

enum err_code s3_error_set(struct err *err, enum err_code code, int status,
                           const struct s3_xml_error *e)
{
    return err_set(err, code, status, "%d%s%s%s%s%s%s%s", status,
                   e->code[0] ? " " : "", e->code, e->message[0] ? ": " : "",
                   e->message, e->request_id[0] ? " (request " : "",
                   e->request_id, e->request_id[0] ? ")" : "");
}
