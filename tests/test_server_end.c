/* Tests of the service's beginning and end, server_run in a child process: its end while a model opens, with an open that takes far longer
 * than anyone waits; and a socket in the file system whose server is too busy to take a connection, as macOS tells it. */
#define _GNU_SOURCE 1                      /* RTLD_NEXT */
#include "server/server.h"

#include <dlfcn.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
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

static void serve(const char *unix_path)
{
    static const struct server_model model = { .name = "slow", .path = "slow" };
    const struct server_options o = {
        .host = "127.0.0.1", .unix_path = unix_path, .unix_mode = 0600, .models = &model, .model_count = 1, .max_body = 1000, .max_answer = 1000, .max_inputs = 1, .max_inputs_openai = 1,
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
        serve(NULL);
    assert_int_equal(read(opened[0], &byte, 1), 1);
    assert_int_equal(kill(child, SIGTERM), 0);
    alarm(60);                             /* it takes a second; opening, ten minutes */
    while (waitpid(child, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    alarm(0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), SERVER_OK);
}

static int refusals;                       /* so many connections to a socket in the file system are refused before one is tried */

int connect(int fd, const struct sockaddr *address, socklen_t size)
{
    int (*real)(int, const struct sockaddr *, socklen_t) = (int (*)(int, const struct sockaddr *, socklen_t))dlsym(RTLD_NEXT, "connect");

    if (address->sa_family == AF_UNIX && refusals) {
        refusals--;
        errno = ECONNREFUSED;
        return -1;
    }
    return real(fd, address, size);
}

static void test_a_busy_socket(void **state)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int status = -1, fd = socket(AF_UNIX, SOCK_STREAM, 0);

    (void)state;
    snprintf(address.sun_path, sizeof address.sun_path, "/tmp/akiembed-busy-%d", (int)getpid());
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 1), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        alarm(60);
        refusals = 3;
        serve(address.sun_path);
    }
    while (waitpid(child, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), SERVER_IO);
    assert_int_equal(unlink(address.sun_path), 0);         /* it is still there */
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_opening), cmocka_unit_test(test_a_busy_socket) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
