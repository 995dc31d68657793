/* Test of the service's end while a model opens: server_run in a child process, with an open that takes far longer than anyone waits. */
#include "server/server.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static int opened[2];                      /* a pipe: a byte when opening has begun */

static int open_slowly(void *user, const char *path, aki_model **out)
{
    (void)user;
    (void)path;
    *out = NULL;
    if (write(opened[1], "", 1) != 1)
        return 1;
    sleep(600);
    return 1;
}

static uint64_t no_size(void)
{
    return 0;
}

static size_t no_text(char *out, float value)
{
    (void)value;
    out[0] = '0';
    return 1;
}

static void serve(void)
{
    static const struct server_model model = { .name = "slow", .path = "slow" };
    const struct server_options o = {
        .host = "127.0.0.1", .models = &model, .model_count = 1, .max_body = 1000, .max_answer = 1000, .max_inputs = 1, .max_inputs_openai = 1,
        .max_queue_tokens = 1, .max_connections = 16, .http_threads = 1, .deadline = 1, .idle_timeout = 10, .header_timeout = 10,
        .body_timeout = 10, .write_timeout = 10, .drain = 600, .quiet = 1, .open = open_slowly, .resident = no_size, .write_f32 = no_text,
    };

    /* Not exit: what the parent has registered for its end is not the child's. */
    _exit(server_run(&o));
}

static void test_opening(void **state)
{
    char byte;
    int status = -1;

    (void)state;
    assert_int_equal(pipe(opened), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child)
        serve();
    assert_int_equal(read(opened[0], &byte, 1), 1);
    assert_int_equal(kill(child, SIGTERM), 0);
    alarm(60);                             /* it takes a second; opening, ten minutes */
    while (waitpid(child, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    alarm(0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), SERVER_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_opening) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
