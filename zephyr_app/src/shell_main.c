/* The shell runs in its own thread. */
int main(void)
{
  return 0;
}
