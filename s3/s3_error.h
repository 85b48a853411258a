/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3/s3_error.h - what an answer or its absence means: whose fault, and whether
 * the request may be sent again. Pure; any thread.
 */
#ifndef CAIRN_S3_S3_ERROR_H
#define CAIRN_S3_S3_ERROR_H

#include <stdbool.h>

#include "base/err.h"
#include "s3/s3_xml.h"

enum s3_error_retry {
    S3_RETRY_NO,
    S3_RETRY_LATER, /* after a pause */
    S3_RETRY_CLOCK, /* at once, signed by the server's clock */
    S3_RETRY_REGION /* at once, signed for the region it names */
};

struct s3_error_verdict {
    enum err_code code;
    enum s3_error_retry retry;
};

/* status: of HTTP, also 200 where the body is an <Error>. e->code may be "". */
struct s3_error_verdict s3_error_judge(int status,
                                       const struct s3_xml_error *e);

/* A failure of the transfer itself, as http_transfer's done() tells it. ever:
 * this endpoint has answered before. */
struct s3_error_verdict s3_error_judge_transfer(const struct err *err,
                                                bool ever);

/* "503 SlowDown: Please reduce your request rate (request 1A2B)" */
enum err_code s3_error_set(struct err *err, enum err_code code, int status,
                           const struct s3_xml_error *e);

#endif
