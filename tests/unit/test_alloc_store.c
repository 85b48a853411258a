/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The n-th allocation fails, for every n: what was asked of a folder or of a
 * bucket ends with ERR_NOMEM or goes well; nothing hangs, leaks or crashes.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <ftw.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "alloc_fail.h"
#include "base/xml.h"
#include "crypto/seal_suite.h"
#include "store/store_dir.h"
#include "store/store_s3.h"
#include "store_try.h"

static uint8_t part[STORE_PART_BYTES];

static int remove_one(const char *path, const struct stat *st, int flag,
                      struct FTW *ftw)
{
    return remove(path);
}

/* ERR_NOMEM only in a round in which an allocation failed. */
static bool went(enum err_code rc)
{
    if (rc == ERR_OK)
        return true;
    assert_int_equal(rc, ERR_NOMEM);
    assert_true(alloc_fail_happened());
    return false;
}

/* The memory of what is tried is had before it runs short. */
static void begin(struct store_try *t, struct store *s)
{
    store_try_init(t, s);
    t->bytes.data = calloc(1, 4096);
    t->bytes.cap = t->bytes.data ? 4096 : 0;
}

/* Each thing that a store can do, once; the upload comes to an end. */
static void use(struct store_try *t)
{
    struct store_upload *up = NULL;

    went(store_try_put(t, "a/b", "hello", 5));
    went(store_try_list(t, "", NULL));
    went(store_try_list_uploads(t, ""));
    t->upload = NULL;
    if (!went(store_try_create(t, "p")))
        return;
    up = t->upload;
    if (went(store_try_part(t, up, 1, part, sizeof(part))) &&
        went(store_try_part(t, up, 2, part, 10)) &&
        went(store_try_complete(t, up)))
        return;
    alloc_fail_off();
    assert_int_equal(store_try_abort(t, up), ERR_OK);
}

static void a_folder_store_says_out_of_memory(void **state)
{
    char root[] = "/tmp/cairn-alloc-XXXXXX";
    struct loop *loop;
    struct lane *lane;
    struct err err;

    assert_non_null(mkdtemp(root));
    assert_int_equal(loop_new("test", NULL, &loop, &err), ERR_OK);
    assert_int_equal(lane_new("disk", 1, 64, &lane, &err), ERR_OK);
    for (unsigned n = 1; alloc_fail_round(n); n++) {
        struct store *s = NULL;
        struct store_try t;

        if (!went(store_dir_new(loop, root, lane, &s, &err)))
            continue;
        begin(&t, s);
        use(&t);
        went(store_try_get(&t, "a/b", (struct store_range){0}) == ERR_NOT_FOUND
                 ? ERR_OK
                 : t.err.code);
        alloc_fail_off();
        store_try_remove(&t, "a/b");
        store_try_remove(&t, "p");
        store_try_fini(&t);
        store_free(s);
    }
    assert_true(lane_free(lane, 10000));
    loop_free(loop);
    nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- a server in a process of its own, whose memory is never short ---- */

#define OK "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: "

static const char *answer_to(const char *head)
{
    if (strncmp(head, "PUT", 3) == 0)
        return OK "0\r\n\r\n";
    if (strncmp(head, "DELETE", 6) == 0)
        return "HTTP/1.1 204 X\r\n\r\n";
    if (strstr(head, "max-parts="))
        return "HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n";
    if (strstr(head, "list-type=2"))
        return OK "69\r\n\r\n<ListBucketResult><IsTruncated>false"
                  "</IsTruncated></ListBucketResult>";
    if (strstr(head, "uploads=") && head[0] == 'G')
        return OK "89\r\n\r\n<ListMultipartUploadsResult><IsTruncated>false"
                  "</IsTruncated></ListMultipartUploadsResult>";
    if (strstr(head, "uploads="))
        return OK "85\r\n\r\n<InitiateMultipartUploadResult><UploadId>u"
                  "</UploadId></InitiateMultipartUploadResult>";
    if (head[0] == 'P')
        return OK "32\r\n\r\n<CompleteMultipartUploadResult/>";
    return OK "5\r\n\r\nhello";
}

static void serve_one(int fd)
{
    static char head[8192], drop[65536];
    size_t len = 0;

    while (read(fd, head + len, 1) == 1 && ++len < sizeof(head) - 1) {
        const char *length, *answer;
        unsigned long left = 0;

        head[len] = 0;
        if (len < 4 || memcmp(head + len - 4, "\r\n\r\n", 4) != 0)
            continue;
        length = strstr(head, "Content-Length: ");
        if (length)
            left = strtoul(length + 16, NULL, 10);
        while (left) {
            ssize_t n =
                read(fd, drop, left < sizeof(drop) ? left : sizeof(drop));

            if (n <= 0)
                return;
            left -= (unsigned long)n;
        }
        answer = answer_to(head);
        if (write(fd, answer, strlen(answer)) < 0)
            return;
        len = 0;
    }
}

static pid_t start_server(unsigned *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(at);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    pid_t pid;

    assert_int_equal(bind(listener, (struct sockaddr *)&at, size), 0);
    assert_int_equal(listen(listener, 16), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &size), 0);
    *port = ntohs(at.sin_port);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int fd;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        while ((fd = accept(listener, NULL, NULL)) >= 0) {
            serve_one(fd);
            close(fd);
        }
        _exit(0);
    }
    close(listener);
    return pid;
}

static void a_bucket_store_says_out_of_memory(void **state)
{
    static const struct s3_credentials keys = {.access_key = "AKID",
                                               .secret = "secret"};
    struct store_s3_opts so = {.prefix = "v"};
    struct seal_suite *suite;
    struct loop *loop;
    char endpoint[64];
    struct err err;
    unsigned port;
    pid_t server = start_server(&port);

    xml_setup();
    assert_int_equal(http_client_setup(&err), ERR_OK);
    assert_int_equal(seal_suite_new(&suite, &err), ERR_OK);
    assert_int_equal(loop_new("test", NULL, &loop, &err), ERR_OK);
    snprintf(endpoint, sizeof(endpoint), "http://127.0.0.1:%u", port);
    so.client = (struct s3_client_opts){.endpoint = endpoint,
                                        .bucket = "bucket",
                                        .suite = suite,
                                        .credentials = &keys,
                                        .timeout_ms = 5000,
                                        .pause_ms = 1};
    for (unsigned n = 1; alloc_fail_round(n); n++) {
        struct http_client *http = NULL;
        struct store *s = NULL;
        struct store_try t;

        /* one connection: the server takes one after the other */
        if (!went(http_client_new(loop, 1, &http, &err)))
            continue;
        if (went(store_s3_new(loop, http, &so, &s, &err))) {
            begin(&t, s);
            use(&t);
            went(store_try_get(&t, "a/b", (struct store_range){0}));
            alloc_fail_off();
            store_try_fini(&t);
            store_free(s);
        }
        alloc_fail_off();
        http_client_free(http);
    }
    loop_free(loop);
    seal_suite_free(suite);
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_folder_store_says_out_of_memory),
        cmocka_unit_test(a_bucket_store_says_out_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
