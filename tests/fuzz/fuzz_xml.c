/* SPDX-License-Identifier: Apache-2.0 */
/* What xml_parse() takes is a tree with texts that can be escaped again. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t walk(const struct xml_node *n, unsigned depth, struct buf *out)
{
    size_t nodes = 1;

    if (depth > 64 || !xml_name(n)[0] ||
        !parse_utf8(xml_text(n), strlen(xml_text(n))))
        abort();
    if (xml_child(n, NULL) && xml_text(n)[0])
        abort();
    xml_escape(out, xml_text(n), strlen(xml_text(n)));
    for (n = xml_child(n, NULL); n; n = xml_next(n, NULL))
        nodes += walk(n, depth + 1, out);
    return nodes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct xml_doc *doc = NULL;
    struct buf out;
    struct err err;

    buf_init(&out, 6 * size + 1);
    if (xml_parse(data, size, 32768, &doc, &err) == ERR_OK) {
        /* "<a/>" is the shortest element. */
        if (walk(xml_root(doc), 1, &out) > size / 4 || buf_failed(&out))
            abort();
    } else if (doc || !err.text[0]) {
        abort();
    }
    xml_free(doc);
    buf_clear(&out);
    if (!xml_escape(&out, (const char *)data, size))
        abort();
    buf_fini(&out);
    return 0;
}
