/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/clock.h - the time, injectable, and its text forms.
 *
 * Whoever needs the time gets a struct clock from its creator, so that a test
 * passes its own. Any thread.
 */
#ifndef CAIRN_BASE_CLOCK_H
#define CAIRN_BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct clock {
    uint64_t (*wall_ms)(void *ctx); /* since 1970-01-01 UTC */
    uint64_t (*mono_ms)(void *ctx); /* never runs backwards */
    void *ctx;
};

/* The kernel's clocks. Lives for ever. */
const struct clock *clock_system(void);

uint64_t clock_wall_ms(const struct clock *c);
uint64_t clock_mono_ms(const struct clock *c);

/* Size of the longest text below, with its NUL. */
#define CLOCK_TEXT 32

/* "2026-11-20T08:15:30Z" (RFC 3339, seconds) */
void clock_rfc3339(uint64_t wall_ms, char out[CLOCK_TEXT]);
/* "20261120T081530Z" (object names, SigV4) */
void clock_compact(uint64_t wall_ms, char out[CLOCK_TEXT]);
/* "20261120T08:15:30Z" (XAPI) */
void clock_xapi(uint64_t wall_ms, char out[CLOCK_TEXT]);
/* "Fri, 20 Nov 2026 08:15:30 GMT" (HTTP, RFC 9110) */
void clock_http(uint64_t wall_ms, char out[CLOCK_TEXT]);

/* The same backwards; false when the text is not of that form exactly. */
bool clock_parse_rfc3339(const char *text, uint64_t *wall_ms);
bool clock_parse_compact(const char *text, uint64_t *wall_ms);
bool clock_parse_xapi(const char *text, uint64_t *wall_ms);
bool clock_parse_http(const char *text, uint64_t *wall_ms);

#endif
