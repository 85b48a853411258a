/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3/s3_xml.h - the documents of S3: answers read with limits, bodies written.
 *
 * Answers come from a peer that is not believed: sizes, numbers, names and
 * times are checked, and what is missing or wrong is ERR_PROTOCOL. White space
 * before a document is passed over, since servers send it to keep a connection
 * alive. Any thread.
 */
#ifndef CAIRN_S3_S3_XML_H
#define CAIRN_S3_S3_XML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define S3_XML_KEY_MAX 1025 /* S3: 1,024 bytes of UTF-8 */
#define S3_XML_ID_MAX 1024  /* upload ids: opaque and long at some */
#define S3_XML_PAGE_MAX ((size_t)4 << 20)   /* of 1,000 keys of 1 KiB, twice */
#define S3_XML_SMALL_MAX ((size_t)64 << 10) /* any other answer */

/* What an <Error> says; texts that are too long are cut. */
struct s3_xml_error {
    char code[64];
    char message[200];
    char request_id[80];
    char region[64];
    char endpoint[160];
};

/* False: this is no <Error> document (or cannot be parsed). */
bool s3_xml_error(const void *text, size_t len, struct s3_xml_error *out);

struct s3_xml_object {
    const char *key; /* decoded */
    uint64_t bytes;
    uint64_t modified_ms;
    const char *etag;
};

/* One page. The callbacks' texts are borrowed; false from one ends the page
 * with ERR_CANCELLED. `next` gets the token that leads on, "" at the end. */
enum err_code s3_xml_list(const void *text, size_t len,
                          bool (*on_object)(void *ctx,
                                            const struct s3_xml_object *o),
                          void *ctx, char next[S3_XML_ID_MAX], struct err *err);

struct s3_xml_upload {
    const char *key; /* decoded */
    const char *id;
    uint64_t begun_ms;
};

/* next_key and next_id get the markers that lead on, "" at the end. */
enum err_code
s3_xml_list_uploads(const void *text, size_t len,
                    bool (*on_upload)(void *ctx, const struct s3_xml_upload *u),
                    void *ctx, char next_key[S3_XML_KEY_MAX],
                    char next_id[S3_XML_ID_MAX], struct err *err);

struct s3_xml_part {
    unsigned number; /* 1 to 10,000 */
    uint64_t bytes;
    char etag[80];
    char sha256[48]; /* ChecksumSHA256 in base 64, or "" */
};

/* next gets the marker that leads on, 0 at the end. */
enum err_code s3_xml_list_parts(const void *text, size_t len,
                                bool (*on_part)(void *ctx,
                                                const struct s3_xml_part *p),
                                void *ctx, unsigned *next, struct err *err);

/* The UploadId of InitiateMultipartUploadResult. */
enum err_code s3_xml_created(const void *text, size_t len,
                             char id[S3_XML_ID_MAX], struct err *err);

/* Whether this is a CompleteMultipartUploadResult. */
enum err_code s3_xml_completed(const void *text, size_t len, struct err *err);

/* What DeleteObjects refused; ERR_OK when nothing was. */
enum err_code
s3_xml_deleted(const void *text, size_t len,
               void (*on_refused)(void *ctx, const char *key,
                                  const struct s3_xml_error *error),
               void *ctx, struct err *err);

/* "GOVERNANCE" or "COMPLIANCE" and the date of a Retention document. */
enum err_code s3_xml_retention(const void *text, size_t len, char mode[16],
                               uint64_t *until_ms, struct err *err);

/* "Enabled", "Suspended" or "" of a VersioningConfiguration. */
enum err_code s3_xml_versioning(const void *text, size_t len, char status[16],
                                struct err *err);

/* Times as S3 writes them: RFC 3339 with or without a fraction, in UTC. */
bool s3_xml_time(const char *text, uint64_t *wall_ms);

/* Undo %XX in place; a '%' that begins none is refused. */
bool s3_xml_decode(char *text);

/* Bodies. A failure shows in buf_failed(). */
void s3_xml_write_complete(struct buf *out, const struct s3_xml_part *parts,
                           size_t count);
void s3_xml_write_delete(struct buf *out, const char *const *keys,
                         size_t count);
void s3_xml_write_retention(struct buf *out, const char *mode,
                            uint64_t until_ms);

#endif
