/* SPDX-License-Identifier: Apache-2.0 */
/* Where a vault lies in S3, as it is written: s3://bucket/prefix. */
#include <string.h>

#include "s3/s3_client.h"
#include "store/store_s3_inner.h"

bool store_s3_prefix_ok(const char *prefix)
{
    size_t len = strlen(prefix);

    for (const char *p = prefix; *p; p++)
        if ((uint8_t)*p < 0x20 || *p == 0x7f || (*p == '/' && p[1] == '/'))
            return false;
    return !len || (len < STORE_S3_PREFIX_MAX - 1 && prefix[0] != '/' &&
                    prefix[len - 1] != '/');
}

bool store_s3_parse_url(const char *url, char bucket[256], char prefix[801])
{
    const char *slash;
    size_t len;

    if (strncmp(url, "s3://", 5) != 0)
        return false;
    url += 5;
    slash = strchr(url, '/');
    len = slash ? (size_t)(slash - url) : strlen(url);
    if (len >= 256)
        return false;
    memcpy(bucket, url, len);
    bucket[len] = 0;
    prefix[0] = 0;
    if (slash && slash[1]) {
        len = strlen(slash + 1);
        if (len > 1 && slash[len] == '/')
            len--; /* one at the end is forgiven */
        if (len >= STORE_S3_PREFIX_MAX)
            return false;
        memcpy(prefix, slash + 1, len);
        prefix[len] = 0;
    }
    return s3_client_bucket_ok(bucket) && store_s3_prefix_ok(prefix);
}
