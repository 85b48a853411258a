/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/html.h"
#include "base/xmlrpc.h"

#define LIMIT (1 << 20)

static struct xmlrpc *parse(const char *text)
{
    struct xmlrpc *v = NULL;
    struct err err = {0};

    if (xmlrpc_parse(text, strlen(text), LIMIT, &v, &err) != ERR_OK)
        fail_msg("%s: %s", text, err.text);
    return v;
}

static void assert_writes(const struct xmlrpc *v, const char *expect)
{
    struct buf out;

    buf_init(&out, LIMIT);
    assert_non_null(v);
    assert_true(xmlrpc_write(v, &out));
    assert_string_equal(buf_text(&out), expect);
    buf_fini(&out);
}

/* An excerpt of a VDI record as a XAPI server writes it. */
static const char record[] =
    "<value><struct>"
    "<member><name>virtual_size</name><value>10737418240</value></member>"
    "<member><name>managed</name><value><boolean>1</boolean></value></member>"
    "<member><name>snapshot_time</name><value><dateTime.iso8601>"
    "20260821T02:00:23Z</dateTime.iso8601></value></member>"
    "<member><name>snapshots</name><value><array><data>"
    "<value>OpaqueRef:aa</value></data></array></value></member>"
    "<member><name>tags</name><value><array><data></data></array></value>"
    "</member>"
    "<member><name>name &lt;&amp;&gt; &quot;x&quot;</name><value>a&amp;b "
    "</value></member>"
    "<member><name>count</name><value><i4>7</i4></value></member>"
    "<member><name>load</name><value><double>0.25</double></value></member>"
    "<member><name>other_config</name><value><struct></struct></value></member>"
    "</struct></value>";

static void a_record_is_read(void **state)
{
    struct xmlrpc *v = parse(record);
    struct xmlrpc *member;

    (void)state;
    assert_int_equal(xmlrpc_kind(v), XMLRPC_STRUCT);
    assert_int_equal(xmlrpc_count(v), 9);
    assert_int_equal(xmlrpc_int(xmlrpc_get(v, "virtual_size"), 0), 10737418240);
    assert_true(xmlrpc_bool(xmlrpc_get(v, "managed"), false));
    assert_string_equal(xmlrpc_get_text(v, "snapshot_time"),
                        "20260821T02:00:23Z");
    assert_int_equal(xmlrpc_kind(xmlrpc_get(v, "snapshot_time")), XMLRPC_TIME);
    assert_string_equal(
        xmlrpc_text(xmlrpc_at(xmlrpc_get(v, "snapshots"), 0), NULL),
        "OpaqueRef:aa");
    assert_null(xmlrpc_at(xmlrpc_get(v, "snapshots"), 1));
    assert_int_equal(xmlrpc_count(xmlrpc_get(v, "tags")), 0);
    assert_string_equal(xmlrpc_name_at(v, 5, &member), "name <&> \"x\"");
    assert_string_equal(xmlrpc_text(member, NULL), "a&b ");
    assert_int_equal(xmlrpc_int(xmlrpc_get(v, "count"), 0), 7);
    assert_true(xmlrpc_real(xmlrpc_get(v, "load"), 0) == 0.25);
    assert_null(xmlrpc_get(v, "absent"));
    assert_string_equal(xmlrpc_get_text(v, "absent"), "");
    assert_int_equal(xmlrpc_int(xmlrpc_get(v, "tags"), -3), -3);
    xmlrpc_free(v);
}

static void what_xapi_wrote_is_written_the_same(void **state)
{
    struct xmlrpc *v = parse(record);
    struct xmlrpc *copy = xmlrpc_copy(v);

    (void)state;
    assert_writes(v, record);
    xmlrpc_free(v);
    assert_writes(copy, record);
    xmlrpc_free(copy);
}

static void every_form_of_a_string_is_accepted(void **state)
{
    struct xmlrpc *v;

    (void)state;
    v = parse("<?xml version=\"1.0\"?>\n<value>\n <array><data>"
              "<value>a</value> <value><string>b</string></value>\n"
              "<value></value><value/><value><string/></value>"
              "</data></array></value>");
    assert_int_equal(xmlrpc_count(v), 5);
    assert_string_equal(xmlrpc_text(xmlrpc_at(v, 1), NULL), "b");
    assert_string_equal(xmlrpc_text(xmlrpc_at(v, 4), NULL), "");
    assert_writes(v, "<value><array><data><value>a</value><value>b</value>"
                     "<value></value><value></value><value></value>"
                     "</data></array></value>");
    xmlrpc_free(v);
}

static void what_is_no_value_is_refused(void **state)
{
    static const char *const rows[] = {
        "<string>a</string>",
        "<value><base64>AA==</base64></value>",
        "<value><array></array></value>",
        "<value><array><data><string>a</string></data></array></value>",
        "<value><struct><member><value>a</value></member></struct></value>",
        "<value><struct><member><name>a</name></member></struct></value>",
        "<value><struct><name>a</name></struct></value>",
        "<value><boolean>1</boolean><boolean>0</boolean></value>",
        "<value><struct><member><name>a</name><value>1</value></member>"
        "<member><name>a</name><value>2</value></member></struct></value>",
        "<value>a</value><value>b</value>",
        "<value>a",
        "",
    };
    struct xmlrpc *v = NULL;
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        err_clear(&err);
        if (xmlrpc_parse(rows[i], strlen(rows[i]), LIMIT, &v, &err) !=
            ERR_PROTOCOL)
            fail_msg("accepted: %s", rows[i]);
        assert_int_equal(err.code, ERR_PROTOCOL);
        assert_true(err.text[0]);
    }
}

static void a_member_twice_among_many_is_refused(void **state)
{
    struct buf b;
    struct xmlrpc *v = NULL;
    struct err err = {0};

    (void)state;
    buf_init(&b, LIMIT);
    buf_add_text(&b, "<value><struct>");
    for (int i = 0; i < 100; i++)
        buf_addf(&b, "<member><name>m%d</name><value>x</value></member>",
                 i == 70 ? 3 : i);
    buf_add_text(&b, "</struct></value>");
    assert_int_equal(xmlrpc_parse(b.data, b.len, LIMIT, &v, &err),
                     ERR_PROTOCOL);
    assert_non_null(strstr(err.text, "m3"));
    buf_fini(&b);
}

static void values_are_built_and_changed(void **state)
{
    struct xmlrpc *v = xmlrpc_new_struct();
    struct xmlrpc *list = xmlrpc_new_array();

    (void)state;
    assert_true(xmlrpc_append(list, xmlrpc_new_int(-5)));
    assert_true(xmlrpc_append(list, xmlrpc_new_bool(false)));
    assert_true(xmlrpc_append(list, xmlrpc_new_text("gone")));
    xmlrpc_remove_at(list, 2);
    assert_true(xmlrpc_set(v, "list", list));
    assert_true(xmlrpc_set_text(v, "a", "old"));
    assert_true(xmlrpc_set_text(v, "a", "1 < 2"));
    assert_true(xmlrpc_set(v, "b", xmlrpc_new_real(60)));
    assert_true(xmlrpc_set(v, "c", xmlrpc_new_real(60.1)));
    xmlrpc_remove(v, "b");
    xmlrpc_remove(v, "not there");
    assert_true(xmlrpc_set(v, "d", xmlrpc_new_real(1)));
    assert_writes(v,
                  "<value><struct><member><name>list</name><value><array><data>"
                  "<value>-5</value><value><boolean>0</boolean></value>"
                  "</data></array></value></member>"
                  "<member><name>a</name><value>1 &lt; 2</value></member>"
                  "<member><name>c</name><value><double>60.1</double></value>"
                  "</member><member><name>d</name><value><double>1.0</double>"
                  "</value></member></struct></value>");
    assert_false(xmlrpc_set(v, "e", NULL));
    assert_false(xmlrpc_append(v, xmlrpc_new_text("a struct is no array")));
    xmlrpc_free(v);
}

static void numbers_that_are_none_give_the_default(void **state)
{
    static const char *const rows[] = {
        "", "-", "1 ", " 1", "1x", "0x10", "99999999999999999999", "1.5"};
    struct xmlrpc *v;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        v = xmlrpc_new_text(rows[i]);
        if (xmlrpc_int(v, 42) != 42)
            fail_msg("taken for a number: '%s'", rows[i]);
        xmlrpc_free(v);
    }
    v = xmlrpc_new_text("nan");
    assert_true(xmlrpc_real(v, 2.5) == 2.5);
    assert_true(xmlrpc_bool(v, true));
    xmlrpc_free(v);
}

/* Pages as XAPI sends them. */
static void a_page_of_xapi_gives_its_error(void **state)
{
    static const char page[] =
        "<html><body><h1>HTTP 500 internal server error</h1>An unexpected "
        "error occurred; please wait a while and try again. If the problem "
        "persists, please contact your support representative.<h1> Additional "
        "information </h1>VM_BAD_POWER_STATE: [ OpaqueRef:1; halted, "
        "suspended; running ]</body></html>";
    static const char login[] =
        "<html><body><h1>HTTP 401 unauthorised</h1>Please check your "
        "credentials and retry.</body></html>";
    static const char odd[] = "a &lt;b&gt;\r\n\t&amp;&quot;&bogus;";
    char out[120], tiny[8];

    (void)state;
    html_xapi_error(page, sizeof(page) - 1, out, sizeof(out));
    assert_string_equal(out, "VM_BAD_POWER_STATE: [ OpaqueRef:1; halted, "
                             "suspended; running ]");
    html_xapi_error(login, sizeof(login) - 1, out, sizeof(out));
    assert_string_equal(out, "HTTP 401 unauthorised Please check your "
                             "credentials and retry.");
    html_words(odd, sizeof(odd) - 1, out, sizeof(out));
    assert_string_equal(out, "a <b> &\"&bogus;");
    html_words(login, sizeof(login) - 1, tiny, sizeof(tiny));
    assert_string_equal(tiny, "HTTP 4");
    html_xapi_error("", 0, out, sizeof(out));
    assert_string_equal(out, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_read),
        cmocka_unit_test(what_xapi_wrote_is_written_the_same),
        cmocka_unit_test(every_form_of_a_string_is_accepted),
        cmocka_unit_test(what_is_no_value_is_refused),
        cmocka_unit_test(a_member_twice_among_many_is_refused),
        cmocka_unit_test(values_are_built_and_changed),
        cmocka_unit_test(numbers_that_are_none_give_the_default),
        cmocka_unit_test(a_page_of_xapi_gives_its_error),
    };

    xml_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
