/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/html.h - the words of a small HTML page, for error texts: servers that
 * fail answer with a page where a document was expected. Any thread.
 */
#ifndef CAIRN_BASE_HTML_H
#define CAIRN_BASE_HTML_H

#include <stddef.h>

/* The page without tags, with &lt; &gt; &amp; &quot; resolved and white space
 * collapsed, cut to fit. Always ends in a NUL. */
void html_words(const void *page, size_t len, char *out, size_t size);

/* As html_words(), but of a page made by XAPI only what it says behind
 * "Additional information", if anything: "VM_BAD_POWER_STATE: [ ...". */
void html_xapi_error(const void *page, size_t len, char *out, size_t size);

#endif
