/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The documents of S3, and AWS's credentials files: the first byte says as what
 * the rest is read. What is taken must keep what the headers promise.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/xml.h"
#include "s3/s3_credentials.h"
#include "s3/s3_xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool truth)
{
    if (!truth)
        abort();
}

static bool on_object(void *ctx, const struct s3_xml_object *o)
{
    must(strlen(o->key) < S3_XML_KEY_MAX && o->bytes <= INT64_MAX && o->etag);
    return ++*(unsigned *)ctx < 100;
}

static bool on_upload(void *ctx, const struct s3_xml_upload *u)
{
    must(strlen(u->key) < S3_XML_KEY_MAX && *u->id &&
         strlen(u->id) < S3_XML_ID_MAX);
    return ++*(unsigned *)ctx < 100;
}

static bool on_part(void *ctx, const struct s3_xml_part *p)
{
    must(p->number >= 1 && p->number <= 10000 && p->bytes <= INT64_MAX);
    return ++*(unsigned *)ctx < 100;
}

static void on_refused(void *ctx, const char *key, const struct s3_xml_error *e)
{
    must(strlen(key) < S3_XML_KEY_MAX);
    must(memchr(e->code, 0, sizeof(e->code)) != NULL);
}

static void read_credentials(const uint8_t *data, size_t size)
{
    struct s3_credentials c;
    struct err err = {.code = ERR_OK};

    if (s3_credentials_parse((const char *)data, size, NULL, &c, &err) ==
        ERR_OK)
        must(*c.access_key && *c.secret && !strpbrk(c.token, "\r\n \t"));
    else
        must(err.text[0] != 0);
}

static void read_time(const uint8_t *data, size_t size)
{
    char text[64], copy[64];
    uint64_t ms;

    if (size >= sizeof(text))
        return;
    memcpy(text, data, size);
    text[size] = 0;
    memcpy(copy, text, sizeof(text));
    if (s3_xml_time(text, &ms))
        must(text[strlen(text) - 1] == 'Z');
    if (s3_xml_decode(copy))
        must(strlen(copy) <= strlen(text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char a[S3_XML_KEY_MAX], b[S3_XML_ID_MAX];
    struct s3_xml_error e;
    unsigned count = 0, next = 0;
    uint64_t ms;
    struct err err = {.code = ERR_OK};

    if (!size)
        return 0;
    switch (*data++ % 10) {
    case 0:
        s3_xml_list(data, size - 1, on_object, &count, b, &err);
        break;
    case 1:
        s3_xml_list_uploads(data, size - 1, on_upload, &count, a, b, &err);
        break;
    case 2:
        s3_xml_list_parts(data, size - 1, on_part, &count, &next, &err);
        must(next <= 10000);
        break;
    case 3:
        s3_xml_error(data, size - 1, &e);
        must(memchr(e.message, 0, sizeof(e.message)) != NULL);
        break;
    case 4:
        if (s3_xml_created(data, size - 1, b, &err) == ERR_OK)
            must(*b && strlen(b) < S3_XML_ID_MAX);
        break;
    case 5:
        s3_xml_deleted(data, size - 1, on_refused, NULL, &err);
        break;
    case 6:
        s3_xml_retention(data, size - 1, a, &ms, &err);
        break;
    case 7:
        s3_xml_versioning(data, size - 1, a, &err);
        break;
    case 8:
        read_credentials(data, size - 1);
        break;
    default:
        read_time(data, size - 1);
        break;
    }
    return 0;
}
