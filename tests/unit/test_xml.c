/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/xml.h"

#define BILLION_LAUGHS                                                         \
    "<!DOCTYPE l [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;\">"        \
    "<!ENTITY c \"&b;&b;&b;&b;&b;&b;\">]><l>&c;</l>"

static const struct {
    const char *why;
    const char *text;
    size_t len; /* 0: strlen */
} refused[] = {
    {"nothing", "", 0},
    {"white space alone", " \n", 0},
    {"no element", "<?xml version='1.0'?>", 0},
    {"an element that does not end", "<a><b></b>", 0},
    {"tags that cross", "<a><b></a></b>", 0},
    {"a second root", "<a/><b/>", 0},
    {"text behind the root", "<a/>x", 0},
    {"a NUL", "<a>\0</a>", 8},
    {"not UTF-8", "<a>\xff</a>", 0},
    {"UTF-16", "\xff\xfe<\0a\0/\0>\0", 10},
    {"a control character", "<a>\x01</a>", 0},
    {"a reference to one", "<a>&#1;</a>", 0},
    {"a reference to a surrogate", "<a>&#xD800;</a>", 0},
    {"an undefined entity", "<a>&nbsp;</a>", 0},
    {"an undefined entity in an attribute", "<a b='&x;'/>", 0},
    {"an attribute twice", "<a b='1' b='2'/>", 0},
    {"a document type", "<!DOCTYPE a><a/>", 0},
    {"a document type with a file",
     "<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>", 0},
    {"a public document type",
     "<!DOCTYPE a PUBLIC \"-//X//Y//EN\" \"http://127.0.0.1:1/x\"><a/>", 0},
    {"an internal entity", "<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>", 0},
    {"an external entity",
     "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><a>&x;</a>", 0},
    {"a parameter entity",
     "<!DOCTYPE a [<!ENTITY % x SYSTEM \"file:///etc/passwd\">%x;]><a/>", 0},
    {"a billion laughs", BILLION_LAUGHS, 0},
    {"a document type after a comment", "<!-- x --><!DOCTYPE a><a/>", 0},
};

static void what_can_hurt_is_refused_with_its_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(refused); i++) {
        size_t len = refused[i].len ? refused[i].len : strlen(refused[i].text);
        struct xml_doc *doc = NULL;
        struct err err = {0};

        if (xml_parse(refused[i].text, len, 4096, &doc, &err) !=
                ERR_PROTOCOL ||
            doc || err.code != ERR_PROTOCOL || strncmp(err.text, "XML: ", 5) != 0)
            fail_msg("%s: accepted, or '%s'", refused[i].why, err.text);
        assert_null(strstr(err.text, "root:")); /* of /etc/passwd */
    }
}

static void the_line_of_a_mistake_is_named(void **state)
{
    static const char text[] = "<a>\n<b>\n</c>\n</a>";
    struct xml_doc *doc = NULL;
    struct err err;

    (void)state;
    assert_int_equal(xml_parse(text, strlen(text), 100, &doc, &err),
                     ERR_PROTOCOL);
    assert_non_null(strstr(err.text, "line 3"));
}

static struct xml_doc *parse(const char *text)
{
    struct xml_doc *doc = NULL;
    struct err err = {0};

    if (xml_parse(text, strlen(text), 1 << 20, &doc, &err) != ERR_OK)
        fail_msg("%s: %s", text, err.text);
    return doc;
}

/* Each row: the text of the root element as XML 1.0 has it. */
static const struct {
    const char *why, *document, *text;
} texts[] = {
    {"plain", "<a>x</a>", "x"},
    {"empty", "<a/>", ""},
    {"empty with an end tag", "<a></a>", ""},
    {"white space is kept", "<a> x\n</a>", " x\n"},
    {"white space alone is kept", "<a> \n </a>", " \n "},
    {"line ends become one", "<a>1\r\n2\r3</a>", "1\n2\n3"},
    {"the five entities", "<a>&lt;&gt;&amp;&quot;&apos;</a>", "<>&\"'"},
    {"references by number", "<a>&#65;&#x42;&#x20AC;</a>", "AB\xe2\x82\xac"},
    {"a carriage return by number", "<a>&#13;</a>", "\r"},
    {"no entity twice", "<a>&amp;lt;</a>", "&lt;"},
    {"CDATA", "<a>1<![CDATA[<&amp;]]>2</a>", "1<&amp;2"},
    {"a comment within", "<a>1<!-- <b/> -->2</a>", "12"},
    {"an instruction within", "<a>1<?x y?>2</a>", "12"},
    {"a namespace", "<x:a xmlns:x='urn:x'>y</x:a>", "y"},
    {"a byte order mark", "\xef\xbb\xbf<a>x</a>", "x"},
    {"a declared encoding other than the bytes'",
     "<?xml version='1.0' encoding='ISO-8859-1'?><a>\xc3\xa9</a>", "\xc3\xa9"},
    {"mixed content is dropped", "<a>x<b>y</b>z</a>", ""},
};

static void text_comes_out_as_the_standard_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(texts); i++) {
        struct xml_doc *doc = parse(texts[i].document);

        assert_string_equal(xml_name(xml_root(doc)), "a");
        if (strcmp(xml_text(xml_root(doc)), texts[i].text) != 0)
            fail_msg("%s: got '%s'", texts[i].why, xml_text(xml_root(doc)));
        xml_free(doc);
    }
}

static void children_are_found_by_name_and_in_order(void **state)
{
    struct xml_doc *doc = parse(
        "<r xmlns='http://s3.amazonaws.com/doc/2006-03-01/'> junk <k>1</k>"
        "<p><k>inner</k></p>more<k>2</k><e/><s:k xmlns:s='u'>3</s:k></r>");
    const struct xml_node *n = xml_child(xml_root(doc), "k");

    (void)state;
    assert_string_equal(xml_text(n), "1");
    n = xml_next(n, "k");
    assert_string_equal(xml_text(n), "2");
    assert_string_equal(xml_name(xml_next(n, NULL)), "e");
    n = xml_next(n, "k");
    assert_string_equal(xml_text(n), "3");
    assert_null(xml_next(n, NULL));
    assert_string_equal(xml_child_text(xml_child(xml_root(doc), "p"), "k"),
                        "inner");
    assert_string_equal(xml_child_text(xml_root(doc), "e"), "");
    assert_null(xml_child_text(xml_root(doc), "absent"));
    assert_null(xml_child_text(NULL, "k"));
    assert_null(xml_child(NULL, NULL));
    assert_null(xml_next(NULL, NULL));
    assert_null(xml_text(NULL));
    xml_free(doc);
    xml_free(NULL);
}

static void depth_ends_at_64_levels(void **state)
{
    (void)state;
    for (int depth = 63; depth <= 66; depth++) {
        struct xml_doc *doc = NULL;
        struct buf b;

        buf_init(&b, 4096);
        for (int i = 0; i < depth; i++)
            buf_add_text(&b, "<a>");
        for (int i = 0; i < depth; i++)
            buf_add_text(&b, "</a>");
        assert_int_equal(xml_parse(b.data, b.len, 4096, &doc, NULL),
                         depth <= 64 ? ERR_OK : ERR_PROTOCOL);
        xml_free(doc);
        buf_fini(&b);
    }
}

static void a_document_over_the_size_is_refused(void **state)
{
    struct xml_doc *doc = NULL;

    (void)state;
    assert_int_equal(xml_parse("<a>xy</a>", 9, 8, &doc, NULL), ERR_PROTOCOL);
    assert_int_equal(xml_parse("<a>xy</a>", 9, 9, &doc, NULL), ERR_OK);
    xml_free(doc);
}

/* What a pool of thousands of VMs answers: over libxml2's 10 MB for one text,
 * and more nodes than fit into one block. */
static void large_documents_are_read(void **state)
{
    const struct xml_node *n;
    struct xml_doc *doc = NULL;
    struct err err = {0};
    struct buf b;
    int count = 0;

    (void)state;
    buf_init(&b, 64 << 20);
    buf_add_text(&b, "<r>");
    for (int i = 0; i < 200000; i++)
        buf_addf(&b, "<member><name>n%d</name><value>v&amp;%d</value></member>",
                 i, i);
    buf_add_text(&b, "</r>");
    if (xml_parse(b.data, b.len, b.len, &doc, &err) != ERR_OK)
        fail_msg("%s", err.text);
    for (n = xml_child(xml_root(doc), "member"); n; n = xml_next(n, "member")) {
        char want[32];

        snprintf(want, sizeof(want), "v&%d", count++);
        if (strcmp(xml_child_text(n, "value"), want) != 0)
            fail_msg("%s is not %s", xml_child_text(n, "value"), want);
    }
    assert_int_equal(count, 200000);
    xml_free(doc);
    buf_fini(&b);

    buf_init(&b, 64 << 20);
    buf_add_text(&b, "<r>");
    memset(buf_extend(&b, 12 << 20), 'x', 12 << 20);
    buf_add_text(&b, "</r>");
    if (xml_parse(b.data, b.len, b.len, &doc, &err) != ERR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(strlen(xml_text(xml_root(doc))), 12 << 20);
    xml_free(doc);
    buf_fini(&b);
}

static void escaped_text_comes_back(void **state)
{
    static const char text[] = "<a & \"b\" 'c'>]]>\r\n\t\xe2\x82\xac";
    struct xml_doc *doc;
    struct buf b;

    (void)state;
    buf_init(&b, 1000);
    buf_add_text(&b, "<a>");
    assert_true(xml_escape(&b, text, strlen(text)));
    buf_add_text(&b, "</a>");
    doc = parse(buf_text(&b));
    assert_string_equal(xml_text(xml_root(doc)), text);
    xml_free(doc);
    buf_clear(&b);
    assert_true(xml_escape(&b, "a\0\x01\x1f" "b\xff" "c\xef\xbf\xbf" "d\xc3",
                           12));
    assert_string_equal(buf_text(&b), "ab?cd?");
    buf_fini(&b);
    buf_init(&b, 4);
    assert_false(xml_escape(&b, "&", 1));
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_can_hurt_is_refused_with_its_line),
        cmocka_unit_test(the_line_of_a_mistake_is_named),
        cmocka_unit_test(text_comes_out_as_the_standard_says),
        cmocka_unit_test(children_are_found_by_name_and_in_order),
        cmocka_unit_test(depth_ends_at_64_levels),
        cmocka_unit_test(a_document_over_the_size_is_refused),
        cmocka_unit_test(large_documents_are_read),
        cmocka_unit_test(escaped_text_comes_back),
    };

    xml_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
