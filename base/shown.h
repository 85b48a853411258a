/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/shown.h - text from elsewhere, as a person's terminal may see it.
 *
 * Names come from whoever named a VM, a tag or an object, and sentences repeat
 * them. What moves a cursor, begins a line, or turns the direction of writing
 * is not shown: control characters (C0, DEL, C1), line and paragraph
 * separators, marks of direction, and bytes that are no UTF-8. Any thread.
 */
#ifndef CAIRN_BASE_SHOWN_H
#define CAIRN_BASE_SHOWN_H

#include <stdbool.h>
#include <stddef.h>

/* Whether the well-formed character of `step` bytes (parse_utf8_step()) may be
 * shown; false for step 0. */
bool shown_is_plain(const char *text, size_t step);

/* Each character that may not becomes a '?', in place. */
void shown_clean(char *text);

#endif
