/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/parse.h - numbers, sizes, times and names from untrusted text.
 *
 * Each function takes the whole text or nothing: no leading or trailing
 * spaces, no sign, no second form. False leaves *out untouched. Any thread.
 */
#ifndef CAIRN_BASE_PARSE_H
#define CAIRN_BASE_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

/* Decimal digits, no leading zeros but for "0" itself; min <= n <= max. */
bool parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *out);

/* As parse_u64() over len bytes that need not end in a NUL. */
bool parse_u64_n(const char *text, size_t len, uint64_t min, uint64_t max,
                 uint64_t *out);

/* "4096", "64 MiB", "64MiB", "1 GiB" (B, KiB, MiB, GiB, TiB), in bytes. */
bool parse_size(const char *text, uint64_t min, uint64_t max, uint64_t *out);

/* "500 ms", "30 s", "30s", "5 min", "24 h", "7 d", in milliseconds. */
bool parse_duration_ms(const char *text, uint64_t min, uint64_t max,
                       uint64_t *out);

/* "true" or "false". */
bool parse_bool(const char *text, bool *out);

/* 36 characters, hex digits of either case. */
bool parse_uuid(const char *text, struct id16 *out);

/* 36 small characters and a NUL. */
void parse_uuid_text(const struct id16 *id, char out[37]);

/* 32 small hex digits. */
bool parse_id16(const char *text, struct id16 *out);

/* [a-z0-9-]{1,40}: what tenants, pools and vaults may be called. */
bool parse_name(const char *text);

/* Well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms, no NUL). */
bool parse_utf8(const char *text, size_t len);

/* Bytes of the one well-formed character that begins the text; 0: none. */
size_t parse_utf8_step(const char *text, size_t len);

/* How much of a well-formed text fits in max bytes, cut in front of a letter. */
size_t parse_utf8_cut(const char *text, size_t max);

/* "1.5 GiB", "312 B": for people, rounded down. out has at least 24 bytes. */
void parse_size_text(uint64_t bytes, char *out, size_t size);

#endif
